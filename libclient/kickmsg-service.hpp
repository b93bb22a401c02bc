/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Services for C++17, over kickmsg-service.h as kickmsg.hpp is over kickmsg.h. It is one file so that it
 * can be copied. Its parts stand in this order: configs, requests, servers, replies, callers.
 *
 *	kickmsg::Server<Pair, int> server(node, "adder");
 *	while (auto request = server.take_request(kickmsg::forever))
 *		request->reply((*request)->a + (*request)->b);
 *
 *	kickmsg::Caller<Pair, int> caller(node, "adder");
 *	int sum = *caller.call(Pair{ 1, 2 }, 100ms);
 *
 * Server<> and Caller<> are of bytes, Server<Q, A> of requests Q and replies A, whose types are compared.
 *
 * Ownership. All is moved, never copied. A server or caller keeps its node's connection alive; a Request
 * or ReplyLoan may not outlive its server, a Reply or CallLoan its caller. A Request that ends without an
 * answer ends its call with -ECONNABORTED.
 *
 * Errors. Constructors, takes and calls throw kickmsg::Error; with a std::error_code as their last
 * argument they set that instead. Calls that send return negative errno values and throw nothing. A take
 * returns nothing where nothing came in time, or it was interrupted.
 */
#pragma once

#include <kickmsg-service.h>
#include <kickmsg.hpp>

#include <cerrno>

namespace kickmsg
{
namespace detail
{
/* Throws the reason why a take has nothing, or a call no reply; or sets the error code. */
inline void tell(int error, std::error_code *ec)
{
	if (ec)
		set(*ec, error);
	else if (error < 0)
		fail(error, kickmsg_strerror(error));
}

inline bool is_nothing(int error) noexcept
{
	return error == -EAGAIN || error == -ETIMEDOUT || error == -EINTR;
}

/* Tells an error of a control call, in the broker's words. */
inline void tell(Node const &node, int error, std::error_code *ec)
{
	std::string text = ec || error >= 0 ? std::string() : node.last_error();

	if (ec || text.empty())
		tell(error, ec);
	else
		fail(error, text);
}

template <typename T> constexpr std::size_t size_of() noexcept
{
	if constexpr (std::is_void_v<T>)
		return 0;
	else
		return sizeof(T);
}

template <typename T> constexpr bool is_message() noexcept
{
	if constexpr (std::is_void_v<T>)
		return true;
	else
		return std::is_trivially_copyable_v<T> && alignof(T) <= 64;
}

struct FreeServer {
	void operator()(kickmsg_server *server) const noexcept
	{
		kickmsg_server_free(server);
	}
};

struct FreeCaller {
	void operator()(kickmsg_caller *caller) const noexcept
	{
		kickmsg_caller_free(caller);
	}
};

/* Room that the library lends to be filled in place. It is given back if it isn't published. */
template <typename Owner, typename T, int (*give_back)(Owner *, void *)> class Lent
{
      public:
	Lent() noexcept = default;
	Lent(Owner *owner, void *payload, std::size_t len) noexcept
	    : owner_(owner), payload_(payload), len_(len)
	{
	}
	Lent(Lent const &) = delete;
	Lent &operator=(Lent const &) = delete;
	Lent(Lent &&other) noexcept
	    : owner_(other.owner_), payload_(std::exchange(other.payload_, nullptr)),
	      len_(other.len_)
	{
	}
	Lent &operator=(Lent &&other) noexcept
	{
		if (this != &other) {
			discard();
			owner_ = other.owner_;
			payload_ = std::exchange(other.payload_, nullptr);
			len_ = other.len_;
		}
		return *this;
	}
	~Lent()
	{
		discard();
	}

	explicit operator bool() const noexcept
	{
		return payload_ != nullptr;
	}
	void *data() const noexcept
	{
		return payload_;
	}
	std::size_t len() const noexcept
	{
		return len_;
	}
	template <typename U = T> U &operator*() const noexcept
	{
		return *static_cast<U *>(payload_);
	}
	template <typename U = T> U *operator->() const noexcept
	{
		return static_cast<U *>(payload_);
	}
	void discard() noexcept
	{
		if (void *payload = std::exchange(payload_, nullptr))
			give_back(owner_, payload);
	}

      protected:
	/* What its publish returned: sent, or its other end is gone. */
	int ended(int r) noexcept
	{
		if (r == 0 || r == -ECONNRESET)
			payload_ = nullptr;
		return r;
	}

	Owner *owner_ = nullptr;
	void *payload_ = nullptr;
	std::size_t len_ = 0;
};
} // namespace detail

/* --- configs ------------------------------------------------------------------------------------- */

/* struct kickmsg_service_config for C++. */
struct ServiceConfig {
	std::size_t max_callers = 64;
	std::size_t max_calls = 16;
	std::size_t max_replies = 1;
	Transport transport = Transport::Auto;
	std::size_t max_request_size = 4096;
	std::size_t max_reply_size = 4096;
	std::optional<SchemaInfo> schema{};

	/* The C struct; it points into this config. */
	kickmsg_service_config c() const noexcept
	{
		kickmsg_service_config ret;

		kickmsg_service_config_init(&ret);
		ret.max_callers = detail::narrow(max_callers);
		ret.max_calls = detail::narrow(max_calls);
		ret.max_replies = detail::narrow(max_replies);
		ret.transport = static_cast<std::uint32_t>(transport);
		ret.max_request_size = max_request_size;
		ret.max_reply_size = max_reply_size;
		ret.schema = schema ? schema->c() : nullptr;
		return ret;
	}
};

/* struct kickmsg_caller_options for C++. */
struct CallerOptions {
	nanoseconds wait{ 0 }; /* for the service to exist and a server to answer */
	nanoseconds spin{ 0 };
	std::optional<SchemaInfo> schema{};

	/* The C struct; it points into these options. */
	kickmsg_caller_options c() const noexcept
	{
		kickmsg_caller_options ret{};

		ret.wait_ns = detail::unsigned_time(wait);
		ret.spin_ns = detail::unsigned_time(spin);
		ret.schema = schema ? schema->c() : nullptr;
		return ret;
	}
};

/* The fingerprint of a service: of both types, as schema_of() makes it of one. */
template <typename Q, typename A> SchemaInfo service_schema_of(std::uint32_t version = 0)
{
	std::string const name = std::string(TypeName<Q>::value) + " -> " +
				 std::string(TypeName<A>::value);
	std::array<std::uint64_t, 4> const shape{ sizeof(Q), alignof(Q), sizeof(A), alignof(A) };
	SchemaInfo made = schema_of<Q>(version);

	kickmsg_schema_set_identity(made.c(), name.data(), name.size());
	kickmsg_schema_set_layout(made.c(), shape.data(), sizeof shape);
	std::memset(made.name, 0, sizeof made.name);
	std::memcpy(made.name, name.data(),
		name.size() < sizeof made.name ? name.size() : sizeof made.name - 1);
	return made;
}

/* --- requests ------------------------------------------------------------------------------------ */

template <typename Q, typename A> class Server;
template <typename Q, typename A> class Caller;

/* A reply that is filled in place. Its request stands still meanwhile: it isn't moved, and doesn't
 * end. */
template <typename A>
class ReplyLoan : public detail::Lent<kickmsg_request, A, kickmsg_reply_discard>
{
      public:
	using detail::Lent<kickmsg_request, A, kickmsg_reply_discard>::Lent;

	/* Sends the reply. Returns 0, or as kickmsg_reply() and kickmsg_reply_more(). */
	int publish(bool more = false) noexcept
	{
		return publish(this->len_, more);
	}
	int publish(std::size_t len, bool more) noexcept
	{
		if (!this->payload_)
			return -EINVAL;
		return this->ended(kickmsg_reply_publish(this->owner_, this->payload_, len, more));
	}
};

/* A request that was taken, in place; it ends with its last reply. */
template <typename Q = void, typename A = void> class Request
{
      public:
	Request() noexcept
	{
		request_.server = nullptr;
	}
	Request(Request const &) = delete;
	Request &operator=(Request const &) = delete;
	Request(Request &&other) noexcept : request_(other.request_)
	{
		other.request_.server = nullptr;
	}
	Request &operator=(Request &&other) noexcept
	{
		if (this != &other) {
			reply_error(-ECONNABORTED);
			request_ = other.request_;
			other.request_.server = nullptr;
		}
		return *this;
	}
	~Request()
	{
		reply_error(-ECONNABORTED);
	}

	/* Hasn't the request ended? */
	explicit operator bool() const noexcept
	{
		return request_.server != nullptr;
	}
	void const *data() const noexcept
	{
		return request_.server ? request_.data : nullptr;
	}
	std::size_t len() const noexcept
	{
		return request_.server ? request_.len : 0;
	}
	template <typename U = Q> U const &operator*() const noexcept
	{
		return *static_cast<U const *>(request_.data);
	}
	template <typename U = Q> U const *operator->() const noexcept
	{
		return static_cast<U const *>(request_.data);
	}

	/* The program that calls, as the broker knows it; valid until the request ends. */
	kickmsg_caller_info const &caller() const noexcept
	{
		return *request_.caller;
	}
	/* The time after which nobody waits for the reply; max(): there is none. */
	std::chrono::steady_clock::time_point deadline() const noexcept
	{
		return request_.deadline_ns == INT64_MAX
			       ? std::chrono::steady_clock::time_point::max()
			       : std::chrono::steady_clock::time_point(
					 nanoseconds(request_.deadline_ns));
	}
	/* Is an answer wanted? 0: yes; -ECANCELED, -ETIMEDOUT, -ECONNRESET; -EINVAL the request has
	 * ended. */
	int status() const noexcept
	{
		return request_.server ? kickmsg_request_status(&request_) : -EINVAL;
	}

	/* Sends the last reply. Returns 0, or as kickmsg_reply(): -EMSGSIZE, -EAGAIN, -ECONNRESET,
	 * -EINVAL the request had ended. */
	int reply(void const *data, std::size_t len) noexcept
	{
		static_assert(std::is_void_v<A>, "a server of a type replies with it");
		return kickmsg_reply(&request_, data, len);
	}
	template <typename U = A> int reply(U const &message) noexcept
	{
		static_assert(std::is_same_v<U, A>, "a server of a type replies with it");
		return kickmsg_reply(&request_, &message, sizeof message);
	}
	/* Sends a reply that others follow; -EDQUOT max_replies - 1 were sent. */
	int reply_more(void const *data, std::size_t len) noexcept
	{
		static_assert(std::is_void_v<A>, "a server of a type replies with it");
		return kickmsg_reply_more(&request_, data, len);
	}
	template <typename U = A> int reply_more(U const &message) noexcept
	{
		static_assert(std::is_same_v<U, A>, "a server of a type replies with it");
		return kickmsg_reply_more(&request_, &message, sizeof message);
	}
	/* Ends the call with a negative errno. */
	int reply_error(int error) noexcept
	{
		return request_.server ? kickmsg_reply_error(&request_, error) : -EINVAL;
	}

	/* Lends a reply to be filled in place; empty where there is none to be had. It may not
	 * outlive this request. */
	template <typename U = A> ReplyLoan<U> loan() noexcept
	{
		static_assert(!std::is_void_v<U>, "say how long: loan(len)");
		ReplyLoan<U> made = loan_of<U>(sizeof(U));
		if (made)
			::new (made.data()) U;
		return made;
	}
	template <typename U = A> ReplyLoan<U> loan(std::size_t len) noexcept
	{
		static_assert(std::is_void_v<U>, "a server of a type lends messages of it: loan()");
		return loan_of<U>(len);
	}
	kickmsg_request *c() noexcept
	{
		return &request_;
	}

      private:
	template <typename U> ReplyLoan<U> loan_of(std::size_t len) noexcept
	{
		void *payload = nullptr;

		if (kickmsg_reply_loan(&request_, len, &payload) < 0)
			return ReplyLoan<U>();
		return ReplyLoan<U>(&request_, payload, len);
	}

	kickmsg_request request_;
};

/* --- servers ------------------------------------------------------------------------------------- */

template <typename Q = void, typename A = void> class Server
{
	static_assert(std::is_void_v<Q> == std::is_void_v<A>, "both have types, or none has");
	static_assert(detail::is_message<Q>() && detail::is_message<A>(), "messages are bytes");

      public:
	Server() noexcept = default;
	Server(Node const &node, Name service, ServiceConfig const &config = default_config())
	    : Server(node, service, config, nullptr)
	{
	}
	Server(Node const &node, Name service, ServiceConfig const &config, std::error_code &ec)
	    : Server(node, service, config, &ec)
	{
	}

	static ServiceConfig default_config()
	{
		ServiceConfig config;

		if constexpr (!std::is_void_v<Q>) {
			config.max_request_size = sizeof(Q);
			config.max_reply_size = sizeof(A);
		}
		return config;
	}

	std::optional<Request<Q, A>> try_take_request()
	{
		return take(0, nullptr);
	}
	std::optional<Request<Q, A>> try_take_request(std::error_code &ec)
	{
		return take(0, &ec);
	}
	std::optional<Request<Q, A>> take_request(nanoseconds timeout)
	{
		return take(detail::timeout(timeout), nullptr);
	}
	std::optional<Request<Q, A>> take_request(nanoseconds timeout, std::error_code &ec)
	{
		return take(detail::timeout(timeout), &ec);
	}

	/* Is this the active server? As of its last take. */
	bool is_active() const noexcept
	{
		return kickmsg_server_is_active(server_.get()) != 0;
	}
	/* Ends a take that sleeps, or else the next one that would sleep. For any thread and signal
	 * handlers. */
	void interrupt() noexcept
	{
		kickmsg_server_interrupt(server_.get());
	}
	/* A descriptor to poll for POLLIN; it stays the server's. */
	int fd()
	{
		int r = kickmsg_server_get_fd(server_.get());

		detail::tell(r, nullptr);
		return r;
	}
	void add_to(WaitSet &set, void *key)
	{
		detail::tell(kickmsg_waitset_add_server(set.c(), server_.get(), key), nullptr);
	}
	explicit operator bool() const noexcept
	{
		return server_ != nullptr;
	}
	kickmsg_server *c() const noexcept
	{
		return server_.get();
	}

      private:
	Server(Node const &node, Name service, ServiceConfig config, std::error_code *ec)
	    : connection_(node.connection())
	{
		kickmsg_server *server = nullptr;

		if constexpr (!std::is_void_v<Q>)
			if (!config.schema)
				config.schema = service_schema_of<Q, A>();
		kickmsg_service_config const c_config = config.c();
		detail::tell(
			node, kickmsg_serve(node.c(), service.c_str(), &c_config, &server), ec);
		server_.reset(server);
	}

	/* A request of another length isn't one of this type, and ends at once. */
	std::optional<Request<Q, A>> take(std::int64_t timeout_ns, std::error_code *ec)
	{
		std::optional<Request<Q, A>> got(std::in_place);
		int r = kickmsg_take_request(server_.get(), timeout_ns, got->c());

		if constexpr (!std::is_void_v<Q>)
			if (r == 0 && got->len() != sizeof(Q)) {
				got->reply_error(-EMSGSIZE);
				r = -EAGAIN;
			}
		if (r == 0) {
			if (ec)
				ec->clear();
			return got;
		}
		got.reset();
		if (ec || !(detail::is_nothing(r) || r == -EBUSY))
			detail::tell(r, ec);
		return got;
	}

	std::shared_ptr<detail::Connection> connection_; /* outlives server_ */
	std::unique_ptr<kickmsg_server, detail::FreeServer> server_;
};

/* --- replies ------------------------------------------------------------------------------------- */

/* A reply in place, or the end of a call. The reply is given back with this object. */
template <typename A = void> class Reply
{
      public:
	Reply() noexcept
	{
		reply_.id = 0;
		reply_.data = nullptr;
		reply_.error = 0;
		reply_.more = 0;
	}
	Reply(Reply const &) = delete;
	Reply &operator=(Reply const &) = delete;
	Reply(Reply &&other) noexcept : reply_(other.reply_)
	{
		other.reply_.data = nullptr;
	}
	Reply &operator=(Reply &&other) noexcept
	{
		if (this != &other) {
			release();
			reply_ = other.reply_;
			other.reply_.data = nullptr;
		}
		return *this;
	}
	~Reply()
	{
		release();
	}

	/* Is there a message, and not an error? */
	explicit operator bool() const noexcept
	{
		return reply_.data != nullptr;
	}
	std::uint64_t id() const noexcept
	{
		return reply_.id;
	}
	/* 0, or why the call has ended: -ECONNRESET, -ETIMEDOUT, -ECANCELED, what the server said.
	 * A caller of a type also has -EMSGSIZE: the reply isn't of that type. */
	int error() const noexcept
	{
		return reply_.error;
	}
	bool more() const noexcept
	{
		return reply_.more != 0;
	}
	void const *data() const noexcept
	{
		return reply_.data;
	}
	std::size_t len() const noexcept
	{
		return reply_.data ? reply_.len : 0;
	}
	template <typename U = A> U const &operator*() const noexcept
	{
		return *static_cast<U const *>(reply_.data);
	}
	template <typename U = A> U const *operator->() const noexcept
	{
		return static_cast<U const *>(reply_.data);
	}
	void release() noexcept
	{
		if (reply_.data)
			kickmsg_reply_release(&reply_);
	}
	struct kickmsg_reply *c() noexcept
	{
		return &reply_;
	}

	/* For callers: sets the reason why there is no reply. */
	void fail(int error) noexcept
	{
		release();
		reply_.error = error;
	}
	/* For callers: is the reply of this type? */
	int check() noexcept
	{
		if (!std::is_void_v<A> && reply_.data && reply_.len != detail::size_of<A>()) {
			fail(-EMSGSIZE);
		}
		return reply_.error;
	}

      private:
	struct kickmsg_reply reply_; /* a function has its name, too */
};

/* --- callers ------------------------------------------------------------------------------------- */

/* A request that is filled in place. */
template <typename Q> class CallLoan : public detail::Lent<kickmsg_caller, Q, kickmsg_call_discard>
{
      public:
	using detail::Lent<kickmsg_caller, Q, kickmsg_call_discard>::Lent;

	/* Sends the request. Returns 0 and the call's id, or as kickmsg_call_publish(). */
	int publish(std::uint64_t &ret_id, nanoseconds timeout = forever) noexcept
	{
		if (!this->payload_)
			return -EINVAL;
		return this->ended(kickmsg_call_publish(this->owner_, this->payload_, this->len_,
			detail::timeout(timeout), &ret_id));
	}
};

template <typename Q = void, typename A = void> class Caller
{
	static_assert(std::is_void_v<Q> == std::is_void_v<A>, "both have types, or none has");
	static_assert(detail::is_message<Q>() && detail::is_message<A>(), "messages are bytes");

      public:
	Caller() noexcept = default;
	Caller(Node const &node, Name service, CallerOptions const &options = {})
	    : Caller(node, service, options, nullptr)
	{
	}
	Caller(Node const &node, Name service, CallerOptions const &options, std::error_code &ec)
	    : Caller(node, service, options, &ec)
	{
	}

	/* Calls, and waits for the first reply. For callers with no other call in flight. Without
	 * an error code the call's error is thrown; with one the reply has the error too. */
	Reply<A> call(void const *data, std::size_t len, nanoseconds timeout)
	{
		static_assert(std::is_void_v<Q>, "a caller of a type calls with it");
		return call_with(data, len, timeout, nullptr);
	}
	Reply<A> call(void const *data, std::size_t len, nanoseconds timeout, std::error_code &ec)
	{
		static_assert(std::is_void_v<Q>, "a caller of a type calls with it");
		return call_with(data, len, timeout, &ec);
	}
	template <typename U = Q> Reply<A> call(U const &message, nanoseconds timeout)
	{
		static_assert(std::is_same_v<U, Q>, "a caller of a type calls with it");
		return call_with(&message, sizeof message, timeout, nullptr);
	}
	template <typename U = Q>
	Reply<A> call(U const &message, nanoseconds timeout, std::error_code &ec)
	{
		static_assert(std::is_same_v<U, Q>, "a caller of a type calls with it");
		return call_with(&message, sizeof message, timeout, &ec);
	}

	/* Sends a request and waits for nothing. Returns 0 and the call's id, or as
	 * kickmsg_call_begin(). The call's end comes out of take_reply(). */
	int call_begin(void const *data, std::size_t len, std::uint64_t &ret_id,
		nanoseconds timeout = forever) noexcept
	{
		static_assert(std::is_void_v<Q>, "a caller of a type calls with it");
		return kickmsg_call_begin(
			caller_.get(), data, len, detail::timeout(timeout), &ret_id);
	}
	template <typename U = Q>
	int call_begin(
		U const &message, std::uint64_t &ret_id, nanoseconds timeout = forever) noexcept
	{
		static_assert(std::is_same_v<U, Q>, "a caller of a type calls with it");
		return kickmsg_call_begin(
			caller_.get(), &message, sizeof message, detail::timeout(timeout), &ret_id);
	}

	/* Lends a request to be filled in place; empty where there is none to be had. */
	template <typename U = Q> CallLoan<U> loan() noexcept
	{
		static_assert(!std::is_void_v<U>, "say how long: loan(len)");
		CallLoan<U> made = loan_of<U>(sizeof(U));
		if (made)
			::new (made.data()) U;
		return made;
	}
	template <typename U = Q> CallLoan<U> loan(std::size_t len) noexcept
	{
		static_assert(std::is_void_v<U>, "a caller of a type lends messages of it: loan()");
		return loan_of<U>(len);
	}

	/* Takes the next reply, or end of a call, in the order in which they come. */
	std::optional<Reply<A>> try_take_reply()
	{
		return take(0, nullptr);
	}
	std::optional<Reply<A>> try_take_reply(std::error_code &ec)
	{
		return take(0, &ec);
	}
	std::optional<Reply<A>> take_reply(nanoseconds timeout)
	{
		return take(detail::timeout(timeout), nullptr);
	}
	std::optional<Reply<A>> take_reply(nanoseconds timeout, std::error_code &ec)
	{
		return take(detail::timeout(timeout), &ec);
	}

	/* Takes a call back: take_reply() tells its end. False: no such call is in flight. */
	bool cancel(std::uint64_t id) noexcept
	{
		return kickmsg_call_cancel(caller_.get(), id) == 0;
	}
	/* Waits until a server answers. False: the time is over, or it was interrupted. */
	bool wait_server(nanoseconds timeout)
	{
		int r = kickmsg_caller_wait_server(caller_.get(), detail::timeout(timeout));

		if (!detail::is_nothing(r))
			detail::tell(r, nullptr);
		return r == 0;
	}
	/* Ends a wait that sleeps, or else the next one that would sleep. For any thread and signal
	 * handlers. */
	void interrupt() noexcept
	{
		kickmsg_caller_interrupt(caller_.get());
	}
	/* A descriptor to poll for POLLIN; it stays the caller's. */
	int fd()
	{
		int r = kickmsg_caller_get_fd(caller_.get());

		detail::tell(r, nullptr);
		return r;
	}
	void add_to(WaitSet &set, void *key)
	{
		detail::tell(kickmsg_waitset_add_caller(set.c(), caller_.get(), key), nullptr);
	}
	explicit operator bool() const noexcept
	{
		return caller_ != nullptr;
	}
	kickmsg_caller *c() const noexcept
	{
		return caller_.get();
	}

      private:
	Caller(Node const &node, Name service, CallerOptions options, std::error_code *ec)
	    : connection_(node.connection())
	{
		kickmsg_caller *caller = nullptr;

		if constexpr (!std::is_void_v<Q>)
			if (!options.schema)
				options.schema = service_schema_of<Q, A>();
		kickmsg_caller_options const c_options = options.c();
		detail::tell(node,
			kickmsg_open_service(node.c(), service.c_str(), &c_options, &caller), ec);
		caller_.reset(caller);
	}

	Reply<A> call_with(
		void const *data, std::size_t len, nanoseconds timeout, std::error_code *ec)
	{
		Reply<A> got;
		int r = kickmsg_call(caller_.get(), data, len, detail::timeout(timeout), got.c());

		if (r == 0)
			r = got.check();
		if (r < 0)
			got.fail(r);
		if (r < 0 || ec)
			detail::tell(r, ec);
		return got;
	}

	template <typename U> CallLoan<U> loan_of(std::size_t len) noexcept
	{
		void *payload = nullptr;

		if (kickmsg_call_loan(caller_.get(), len, &payload) < 0)
			return CallLoan<U>();
		return CallLoan<U>(caller_.get(), payload, len);
	}

	std::optional<Reply<A>> take(std::int64_t timeout_ns, std::error_code *ec)
	{
		std::optional<Reply<A>> got(std::in_place);
		int r = kickmsg_take_reply(caller_.get(), timeout_ns, got->c());

		if (r == 0) {
			got->check();
			if (ec)
				ec->clear();
			return got;
		}
		got.reset();
		if (ec || !detail::is_nothing(r))
			detail::tell(r, ec);
		return got;
	}

	std::shared_ptr<detail::Connection> connection_; /* outlives caller_ */
	std::unique_ptr<kickmsg_caller, detail::FreeCaller> caller_;
};
} // namespace kickmsg

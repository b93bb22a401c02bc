/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kickmsg for C++17: handles that free themselves, over kickmsg.h. Nothing here is compiled into the
 * library. It is one file so that it can be copied; its parts are small and stand in this order:
 * errors, schemas, configs, samples and loans, publishers, subscribers, regions, the node, wait sets.
 *
 *	kickmsg::Node node("camera");
 *	auto pub = node.advertise("frames");
 *	pub.send(data, size);
 *
 *	auto sub = node.subscribe("frames");
 *	while (auto view = sub.receive_view(100ms))
 *		use(view->data(), view->len());
 *
 * Ownership. Handles are moved, never copied. A publisher or subscriber keeps its node's connection
 * alive; a SampleView or Loan may not outlive the subscriber or publisher that it came from.
 *
 * Errors. Control calls throw kickmsg::Error, a std::system_error with the errno of kickmsg.h and the
 * broker's words. With a std::error_code as their last argument they set that instead, and return an
 * empty handle. send() and publish() return negative errno values and throw nothing. A receive returns
 * nothing where no message came in time or it was interrupted; for other errors it is as a control call.
 * That a reliable subscriber has become an ordinary one is such an error, once: ENOLINK.
 *
 * Threads, fork and times of the calls are as kickmsg.h has them.
 */
#pragma once

#include <kickmsg.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

namespace kickmsg
{
using namespace std::chrono_literals;
using std::chrono::nanoseconds;

/* --- errors -------------------------------------------------------------------------------------- */

class Error : public std::system_error
{
      public:
	Error(int error, std::string const &text)
	    : std::system_error(error < 0 ? -error : error, std::generic_category(), text)
	{
	}
};

namespace detail
{
struct Unfilled {
};

[[noreturn]] inline void fail(int error, std::string const &text)
{
#if defined(__cpp_exceptions) || defined(__EXCEPTIONS)
	throw Error(error, text);
#else
	(void)error, (void)text;
	std::abort();
#endif
}

inline void set(std::error_code &ec, int result) noexcept
{
	if (result < 0)
		ec.assign(-result, std::generic_category());
	else
		ec.clear();
}

/* A time-out as the C interface has it. */
inline std::int64_t timeout(nanoseconds time) noexcept
{
	return time == nanoseconds::max() ? -1 : time.count() < 0 ? 0 : time.count();
}

inline std::uint64_t unsigned_time(nanoseconds time) noexcept
{
	return time == nanoseconds::max()
		       ? UINT64_MAX
		       : static_cast<std::uint64_t>(time.count() < 0 ? 0 : time.count());
}

/* Whether a loan whose publishing said this is still lent. */
inline bool is_still_lent(int result) noexcept
{
	return result < 0 && (result == -ENOBUFS || result == -ETIMEDOUT || result == -EINTR);
}

/* A value that is too large is refused by the library, as any that is out of range. */
inline std::uint32_t narrow(std::size_t value) noexcept
{
	return value > UINT32_MAX ? UINT32_MAX : static_cast<std::uint32_t>(value);
}

/* The client, and what its callbacks need. */
struct Connection {
	kickmsg_client *client = nullptr;
	std::function<void(kickmsg_event const &)> on_event;
	std::shared_ptr<void> on_happening; /* what kickmsg-operator.hpp calls */

	Connection() = default;
	Connection(Connection const &) = delete;
	Connection &operator=(Connection const &) = delete;
	~Connection()
	{
		kickmsg_client_free(client);
	}
};

struct FreePublisher {
	void operator()(kickmsg_publisher *pub) const noexcept
	{
		kickmsg_publisher_free(pub);
	}
};

struct FreeSubscriber {
	void operator()(kickmsg_subscriber *sub) const noexcept
	{
		kickmsg_subscriber_free(sub);
	}
};

/* Goes through an array, and gives what item() makes of each element. */
template <typename Element, auto item> class Iterator
{
      public:
	explicit Iterator(Element const *at) noexcept : at_(at)
	{
	}
	decltype(auto) operator*() const noexcept
	{
		return item(*at_);
	}
	Iterator &operator++() noexcept
	{
		++at_;
		return *this;
	}
	bool operator==(Iterator const &other) const noexcept
	{
		return at_ == other.at_;
	}
	bool operator!=(Iterator const &other) const noexcept
	{
		return at_ != other.at_;
	}

      private:
	Element const *at_;
};
} // namespace detail

/* A time without an end, where a time is asked for. */
inline constexpr nanoseconds forever = nanoseconds::max();

/* "major.minor.patch" of the library that is running. */
inline char const *version() noexcept
{
	return kickmsg_version();
}

inline void sleep(nanoseconds time)
{
	std::this_thread::sleep_for(time);
}

/* A name that is passed on to the C interface: of a topic, channel, mailbox or node. */
class Name
{
      public:
	Name(char const *text) noexcept : text_(text)
	{
	}
	Name(std::string const &text) noexcept : text_(text.c_str())
	{
	}
	char const *c_str() const noexcept
	{
		return text_;
	}

      private:
	char const *text_;
};

/* --- schemas ------------------------------------------------------------------------------------- */

/* struct kickmsg_schema for C++. */
struct SchemaInfo {
	std::array<std::uint8_t, 64> identity;
	std::array<std::uint8_t, 64> layout;
	char name[128];
	std::uint32_t version;
	std::uint32_t identity_algo;
	std::uint32_t layout_algo;
	std::uint32_t flags;
	std::array<std::uint8_t, 240> reserved;

	kickmsg_schema const *c() const noexcept
	{
		return reinterpret_cast<kickmsg_schema const *>(this);
	}
	kickmsg_schema *c() noexcept
	{
		return reinterpret_cast<kickmsg_schema *>(this);
	}
};
static_assert(sizeof(SchemaInfo) == sizeof(kickmsg_schema), "they are the same bytes");
static_assert(
	offsetof(SchemaInfo, flags) == offsetof(kickmsg_schema, flags), "they are the same bytes");
static_assert(std::is_trivially_copyable_v<SchemaInfo>, "they are the same bytes");

namespace schema
{
enum Diff : std::uint32_t {
	Equal = 0,
	Identity = KICKMSG_SCHEMA_IDENTITY,
	Layout = KICKMSG_SCHEMA_LAYOUT,
	Version = KICKMSG_SCHEMA_VERSION,
	Name = KICKMSG_SCHEMA_NAME,
	IdentityAlgo = KICKMSG_SCHEMA_IDENTITY_ALGO,
	LayoutAlgo = KICKMSG_SCHEMA_LAYOUT_ALGO,
};

/* The bits of Diff in which the two differ. */
inline std::uint32_t diff(SchemaInfo const &a, SchemaInfo const &b) noexcept
{
	return kickmsg_schema_diff(a.c(), b.c());
}
} // namespace schema

namespace hash
{
inline constexpr std::uint64_t FNV1A_64_OFFSET_BASIS = KICKMSG_FNV1A64_INIT;

inline std::uint64_t fnv1a_64(
	void const *data, std::size_t len, std::uint64_t seed = FNV1A_64_OFFSET_BASIS) noexcept
{
	return kickmsg_fnv1a64(seed, data, len);
}

inline std::uint64_t fnv1a_64(std::string_view text) noexcept
{
	return fnv1a_64(text.data(), text.size());
}

/* Makes a schema's identity or layout of a description. */
inline std::array<std::uint8_t, 64> identity_from_fnv1a(std::string_view descriptor) noexcept
{
	SchemaInfo made{};

	kickmsg_schema_set_identity(made.c(), descriptor.data(), descriptor.size());
	return made.identity;
}
} // namespace hash

/* The name of a type that goes over a topic. Give one to a type whose name compilers write differently,
 * or that has another name on the other side:
 * template <> struct kickmsg::TypeName<T> { static constexpr std::string_view value = "..."; }; */
template <typename T> struct TypeName {
      private:
	static constexpr std::string_view written()
	{
		std::string_view text = __PRETTY_FUNCTION__;
		std::size_t begin = text.find("T = ");

		begin = begin == std::string_view::npos ? 0 : begin + 4;
		return text.substr(begin, text.find_first_of(";]", begin) - begin);
	}

      public:
	static constexpr std::string_view value = written();
};

/* The fingerprint of a type: of its name, its size and its alignment. */
template <typename T> SchemaInfo schema_of(std::uint32_t version = 0)
{
	static_assert(std::is_trivially_copyable_v<T>, "a message is copied as bytes");
	constexpr std::string_view name = TypeName<T>::value;
	std::array<std::uint64_t, 2> const shape{ sizeof(T), alignof(T) };
	SchemaInfo made{};

	kickmsg_schema_set_identity(made.c(), name.data(), name.size());
	kickmsg_schema_set_layout(made.c(), shape.data(), sizeof shape);
	std::memcpy(made.name, name.data(),
		name.size() < sizeof made.name ? name.size() : sizeof made.name - 1);
	made.version = version;
	return made;
}

/* --- configs ------------------------------------------------------------------------------------- */

enum class Transport : std::uint32_t {
	Rings = KICKMSG_TRANSPORT_RINGS,
	Shared = KICKMSG_TRANSPORT_SHARED,
	Auto = KICKMSG_TRANSPORT_AUTO,
};

namespace channel
{
enum Type : std::uint32_t {
	PubSub = KICKMSG_PUBSUB,
	Broadcast = KICKMSG_BROADCAST,
	Mailbox = KICKMSG_MAILBOX,
	Service = KICKMSG_SERVICE,
	Requests = KICKMSG_REQUESTS,
	Replies = KICKMSG_REPLIES,
};

/* struct kickmsg_topic_config for C++. The defaults are those of kickmsg_topic_config_init(): programs in
 * all languages meet at a topic that nobody described. */
struct Config {
	std::size_t max_subscribers = 16;
	std::size_t sub_ring_capacity = 64;
	std::size_t pool_size = 0; /* 0: as many slots as are needed */
	std::size_t max_payload_size = 4096;
	std::size_t max_publishers = 16;
	std::size_t max_loans = 4;   /* of a publisher at once */
	std::size_t max_borrows = 4; /* of a subscriber at once */
	nanoseconds linger{ 0 };
	bool persistent = false;
	Transport transport = Transport::Rings;
	bool timestamps = false;
	std::uint32_t history = 0;
	/* Reliable subscribers also need a pool for all that may be in use, as pool_size 0 has it, and, with
	 * private rings, max_publishers below sub_ring_capacity. */
	std::size_t max_reliable = 0;
	nanoseconds stall{ 0 };
	std::optional<SchemaInfo> schema{};

	/* A topic that keeps its last message for later subscribers, until it is unlinked. */
	static Config latched() noexcept
	{
		kickmsg_topic_config from;
		Config ret;

		kickmsg_topic_config_latched(&from);
		ret.max_subscribers = from.max_subscribers;
		ret.sub_ring_capacity = from.ring_capacity;
		ret.pool_size = from.pool_size;
		ret.max_payload_size = from.max_payload_size;
		ret.max_publishers = from.max_publishers;
		ret.max_loans = from.max_loans;
		ret.max_borrows = from.max_borrows;
		ret.persistent = from.persistent;
		ret.transport = static_cast<Transport>(from.transport);
		ret.history = from.history;
		return ret;
	}

	/* The C struct; it points into this config. */
	kickmsg_topic_config c() const noexcept
	{
		kickmsg_topic_config ret;

		kickmsg_topic_config_init(&ret);
		ret.max_subscribers = detail::narrow(max_subscribers);
		ret.ring_capacity = detail::narrow(sub_ring_capacity);
		ret.pool_size = detail::narrow(pool_size);
		ret.max_payload_size = max_payload_size;
		ret.max_publishers = detail::narrow(max_publishers);
		ret.max_loans = detail::narrow(max_loans);
		ret.max_borrows = detail::narrow(max_borrows);
		ret.linger_ns = detail::unsigned_time(linger);
		ret.persistent = persistent;
		ret.transport = static_cast<std::uint32_t>(transport);
		ret.timestamps = timestamps;
		ret.history = history;
		ret.max_reliable = detail::narrow(max_reliable);
		ret.stall_ns = detail::unsigned_time(stall);
		ret.schema = schema ? schema->c() : nullptr;
		return ret;
	}

	/* Says what the config costs; an Error, EINVAL, names the field that is out of range. Asks no
	 * broker. */
	kickmsg_topic_sizing check() const
	{
		kickmsg_topic_config const config = c();
		kickmsg_topic_sizing ret;
		int r = kickmsg_topic_config_check(&config, &ret);

		if (r < 0)
			detail::fail(r, std::string(ret.bad_field) + " is out of range");
		return ret;
	}
};
} // namespace channel

/* struct kickmsg_subscribe_options for C++. */
struct SubscribeOptions {
	nanoseconds spin{ 0 };
	nanoseconds wait{ 0 }; /* for the topic to exist */
	std::optional<SchemaInfo> schema{};
	bool skip_own = false;
	std::uint32_t history = 0; /* 0: the topic's; KICKMSG_HISTORY_NONE */
	bool observe = false;
	bool writable = false;
	bool strict = false;
	bool interruptible = false;
	std::uint32_t depth = 0;
	/* Publishers wait for it, in a topic that has max_reliable. */
	bool reliable = false;

	/* The C struct; it points into these options. */
	kickmsg_subscribe_options c() const noexcept
	{
		kickmsg_subscribe_options ret{};

		ret.spin_ns = detail::unsigned_time(spin);
		ret.wait_ns = detail::unsigned_time(wait);
		ret.schema = schema ? schema->c() : nullptr;
		ret.skip_own = skip_own;
		ret.history = history;
		ret.observe = observe;
		ret.writable = writable;
		ret.strict = strict;
		ret.interruptible = interruptible;
		ret.depth = depth;
		ret.reliable = reliable;
		return ret;
	}
};

/* struct kickmsg_client_config for C++. */
struct NodeOptions {
	std::string name{};
	std::string kmsg_namespace = "kickmsg";
	std::string socket_path{};
	nanoseconds timeout{ 0 }; /* of the broker's answers; 0: the default */
	nanoseconds wait_for_broker{ 0 };
	std::function<void(kickmsg_event const &)>
		on_event{}; /* called by Node::dispatch() alone */
};

/* --- samples ------------------------------------------------------------------------------------- */

/* A message that was copied; valid until its subscriber's next receive. */
class SampleRef
{
      public:
	SampleRef(void const *data, std::size_t len, std::uint64_t ring_pos) noexcept
	    : data_(data), len_(len), ring_pos_(ring_pos)
	{
	}
	SampleRef(SampleRef const &) = delete;
	SampleRef &operator=(SampleRef const &) = delete;
	SampleRef(SampleRef &&other) noexcept
	    : data_(std::exchange(other.data_, nullptr)), len_(std::exchange(other.len_, 0)),
	      ring_pos_(other.ring_pos_)
	{
	}
	SampleRef &operator=(SampleRef &&other) noexcept
	{
		data_ = std::exchange(other.data_, nullptr);
		len_ = std::exchange(other.len_, 0);
		ring_pos_ = other.ring_pos_;
		return *this;
	}
	~SampleRef() = default;

	void const *data() const noexcept
	{
		return data_;
	}
	std::size_t len() const noexcept
	{
		return len_;
	}
	std::size_t size() const noexcept
	{
		return len_;
	}
	std::uint64_t ring_pos() const noexcept
	{
		return ring_pos_;
	}

      private:
	void const *data_;
	std::size_t len_;
	std::uint64_t ring_pos_;
};

/* A message where it lies, read-only; it goes back with the view. */
class SampleView
{
      public:
	SampleView() noexcept
	{
		sample_.subscriber = nullptr;
	}
	/* A view that a receive fills in. */
	explicit SampleView(detail::Unfilled) noexcept
	{
	}
	SampleView(SampleView const &) = delete;
	SampleView &operator=(SampleView const &) = delete;
	SampleView(SampleView &&other) noexcept : sample_(other.sample_)
	{
		other.sample_.subscriber = nullptr;
	}
	SampleView &operator=(SampleView &&other) noexcept
	{
		if (this != &other) {
			release();
			sample_ = other.sample_;
			other.sample_.subscriber = nullptr;
		}
		return *this;
	}
	~SampleView()
	{
		release();
	}

	bool valid() const noexcept
	{
		return sample_.subscriber != nullptr;
	}
	explicit operator bool() const noexcept
	{
		return valid();
	}
	/* Whether the message is still lent: the C interface may have given it back. */
	bool is_held() const noexcept
	{
		return valid() && kickmsg_sample_is_held(&sample_);
	}
	void const *data() const noexcept
	{
		return valid() ? sample_.data : nullptr;
	}
	std::size_t len() const noexcept
	{
		return valid() ? sample_.len : 0;
	}
	std::size_t size() const noexcept
	{
		return len();
	}
	std::byte const *begin() const noexcept
	{
		return static_cast<std::byte const *>(data());
	}
	std::byte const *end() const noexcept
	{
		return begin() + len();
	}
	std::uint64_t ring_pos() const noexcept
	{
		return sample_.ring_pos;
	}
	std::uint64_t publisher_sequence() const noexcept
	{
		return sample_.publisher_sequence;
	}
	/* The time of its publishing, by std::chrono::steady_clock; 0 in a topic without
	 * timestamps. */
	nanoseconds publish_time() const noexcept
	{
		return nanoseconds(sample_.publish_ns);
	}
	std::uint32_t publisher_id() const noexcept
	{
		return sample_.publisher_id;
	}

	/* The message as a T; null where it is shorter. */
	template <typename T> T const *as() const noexcept
	{
		static_assert(
			std::is_trivially_copyable_v<T> && alignof(T) <= 64, "a message is bytes");
		return len() >= sizeof(T) ? static_cast<T const *>(data()) : nullptr;
	}

	void release() noexcept
	{
		if (valid()) {
			kickmsg_sample_release(&sample_);
			sample_.subscriber = nullptr;
		}
	}

	/* A view of a sample that a program got from the C interface. */
	explicit SampleView(kickmsg_sample const &sample) noexcept : sample_(sample)
	{
	}
	kickmsg_sample *sample() noexcept
	{
		return &sample_;
	}

      private:
	kickmsg_sample sample_;
};

/* A message of a type where it lies. */
template <typename T> class View
{
      public:
	explicit View(detail::Unfilled unfilled) noexcept : view_(unfilled)
	{
	}
	T const &operator*() const noexcept
	{
		return *static_cast<T const *>(view_.data());
	}
	T const *operator->() const noexcept
	{
		return static_cast<T const *>(view_.data());
	}
	std::uint64_t ring_pos() const noexcept
	{
		return view_.ring_pos();
	}
	std::uint64_t publisher_sequence() const noexcept
	{
		return view_.publisher_sequence();
	}
	nanoseconds publish_time() const noexcept
	{
		return view_.publish_time();
	}
	std::uint32_t publisher_id() const noexcept
	{
		return view_.publisher_id();
	}
	kickmsg_sample *sample() noexcept
	{
		return view_.sample();
	}

      private:
	SampleView view_;
};

/* One message of a Batch, where it lies; valid as long as the batch holds it. */
template <typename T = void> class Item
{
      public:
	explicit Item(kickmsg_sample const &sample) noexcept : sample_(&sample)
	{
	}
	template <typename U = T> U const &operator*() const noexcept
	{
		return *static_cast<U const *>(sample_->data);
	}
	template <typename U = T> U const *operator->() const noexcept
	{
		return static_cast<U const *>(sample_->data);
	}
	void const *data() const noexcept
	{
		return sample_->data;
	}
	std::size_t len() const noexcept
	{
		return sample_->len;
	}
	std::size_t size() const noexcept
	{
		return sample_->len;
	}
	kickmsg_sample const *sample() const noexcept
	{
		return sample_;
	}

      private:
	kickmsg_sample const *sample_;
};

/* Up to N messages that one receive_many() took, where they lie; they go back with the batch, or with the
 * next receive into it. A batch may not outlive its subscriber.
 *
 *	kickmsg::Batch<Pose, 32> batch;
 *	while (sub.receive_many(batch, 100ms))
 *		for (auto pose : batch)
 *			use(pose->x);
 */
template <typename T = void, std::size_t N = 64> class Batch
{
      public:
	static Item<T> item(kickmsg_sample const &sample) noexcept
	{
		return Item<T>(sample);
	}
	using Iterator = detail::Iterator<kickmsg_sample, &Batch::item>;

	Batch() noexcept
	{
	}
	Batch(Batch const &) = delete;
	Batch &operator=(Batch const &) = delete;
	~Batch()
	{
		release();
	}

	std::size_t size() const noexcept
	{
		return count_;
	}
	bool empty() const noexcept
	{
		return count_ == 0;
	}
	Item<T> operator[](std::size_t i) const noexcept
	{
		return item(samples_[i]);
	}
	Iterator begin() const noexcept
	{
		return Iterator(samples_);
	}
	Iterator end() const noexcept
	{
		return Iterator(samples_ + count_);
	}
	/* How many messages of another length the last receive dropped; of a type alone. */
	std::size_t refused() const noexcept
	{
		return refused_;
	}

	void release() noexcept
	{
		if (count_)
			kickmsg_release_many(samples_, count_);
		count_ = 0;
	}

      private:
	template <typename U> friend class Subscriber;

	ssize_t fill(kickmsg_subscriber *sub, std::int64_t timeout_ns) noexcept
	{
		release();
		refused_ = 0;
		ssize_t r = kickmsg_receive_many(sub, timeout_ns, samples_, N);
		if (r < 0)
			return r;
		count_ = static_cast<std::size_t>(r);
		if constexpr (!std::is_void_v<T>) {
			for (std::size_t i = 0; i < count_; i++)
				if (__builtin_expect(samples_[i].len != sizeof(T), 0)) {
					refuse();
					break;
				}
		}
		return count_ ? static_cast<ssize_t>(count_) : -EMSGSIZE;
	}

	/* Drops the messages of another length. */
	__attribute__((noinline)) void refuse() noexcept
	{
		std::size_t good = 0;

		for (std::size_t i = 0; i < count_; i++) {
			if (samples_[i].len == sizeof(T)) {
				samples_[good++] = samples_[i];
			} else {
				kickmsg_sample_release(&samples_[i]);
				refused_++;
			}
		}
		count_ = good;
	}

	kickmsg_sample samples_[N];
	std::size_t count_ = 0, refused_ = 0;
};

/* --- publishers ---------------------------------------------------------------------------------- */

class Node;
class Operator; /* defined in kickmsg-operator.hpp */
class SharedRegion;

/* A message of a type that is filled in place. It is given back if it isn't published. */
template <typename T> class Loan
{
      public:
	Loan() noexcept = default;
	Loan(kickmsg_publisher *pub, void *payload) noexcept
	    : pub_(pub), payload_(::new (payload) T)
	{
	}
	Loan(Loan const &) = delete;
	Loan &operator=(Loan const &) = delete;
	Loan(Loan &&other) noexcept
	    : pub_(other.pub_), payload_(std::exchange(other.payload_, nullptr))
	{
	}
	Loan &operator=(Loan &&other) noexcept
	{
		if (this != &other) {
			discard();
			pub_ = other.pub_;
			payload_ = std::exchange(other.payload_, nullptr);
		}
		return *this;
	}
	~Loan()
	{
		discard();
	}

	explicit operator bool() const noexcept
	{
		return payload_ != nullptr;
	}
	T &operator*() const noexcept
	{
		return *payload_;
	}
	T *operator->() const noexcept
	{
		return payload_;
	}

	/* Publishes. Returns how many subscribers it reached; or a negative errno: of -ENOBUFS, that a
	 * reliable subscriber has no room, the message is still lent. */
	int publish() noexcept
	{
		return payload_ ? sent(kickmsg_publish(pub_, payload_, sizeof(T))) : -EINVAL;
	}

	/* Publishes, and waits until each reliable subscriber has room. Also -ETIMEDOUT and -EINTR: the
	 * message is still lent. */
	int publish_wait(nanoseconds timeout) noexcept
	{
		return payload_ ? sent(kickmsg_publish_wait(
					  pub_, payload_, sizeof(T), detail::timeout(timeout)))
				: -EINVAL;
	}

	void discard() noexcept
	{
		if (T *payload = std::exchange(payload_, nullptr))
			kickmsg_discard(pub_, payload);
	}

      private:
	int sent(int r) noexcept
	{
		if (__builtin_expect(!detail::is_still_lent(r), 1))
			payload_ = nullptr;
		return r;
	}

	kickmsg_publisher *pub_ = nullptr;
	T *payload_ = nullptr;
};

/* Up to N messages of a type that are filled in place, and published in one call. They are given back if
 * they aren't published. They may not outlive their publisher.
 *
 *	kickmsg::Loans<Pose, 32> loans;
 *	pub.loan_many(loans);
 *	for (Pose &pose : loans)
 *		pose = next();
 *	loans.publish();
 */
template <typename T, std::size_t N = 64> class Loans
{
	static_assert(std::is_trivially_copyable_v<T> && alignof(T) <= 64,
		"a message is copied as bytes");

      public:
	static T &item(iovec const &loan) noexcept
	{
		return *static_cast<T *>(loan.iov_base);
	}
	using Iterator = detail::Iterator<iovec, &Loans::item>;

	Loans() noexcept
	{
		for (auto &loan : loans_)
			loan.iov_len = sizeof(T);
	}
	Loans(Loans const &) = delete;
	Loans &operator=(Loans const &) = delete;
	~Loans()
	{
		discard();
	}

	std::size_t size() const noexcept
	{
		return count_;
	}
	bool empty() const noexcept
	{
		return count_ == 0;
	}
	T &operator[](std::size_t i) const noexcept
	{
		return item(loans_[i]);
	}
	Iterator begin() const noexcept
	{
		return Iterator(loans_);
	}
	Iterator end() const noexcept
	{
		return Iterator(loans_ + count_);
	}

	/* Publishes all, in their order. Returns how many: fewer than there are where the next one failed;
	 * that and those behind it are left. Or the negative errno of the first one: of -ENOBUFS all are still
	 * lent, of others it has ended. */
	ssize_t publish() noexcept
	{
		ssize_t r = count_ ? kickmsg_publish_many(pub_, loans_, count_) : 0;

		if (__builtin_expect(r == static_cast<ssize_t>(count_), 1))
			count_ = 0;
		else
			left(r < 0 ? r != -ENOBUFS : static_cast<std::size_t>(r));
		return r;
	}

	void discard() noexcept
	{
		for (std::size_t i = 0; i < count_; i++)
			kickmsg_discard(pub_, loans_[i].iov_base);
		count_ = 0;
	}

      private:
	template <typename U> friend class Publisher;

	template <typename Fill>
	std::size_t lend(kickmsg_publisher *pub, std::size_t count, Fill fill)
	{
		std::size_t const most = count < N ? count : N;
		std::size_t got = 0;

		discard();
		for (; got < most && kickmsg_loan(pub, sizeof(T), &loans_[got].iov_base) == 0;
			got++) {
			if (!loans_[got].iov_base)
				__builtin_unreachable();
			fill(*::new (loans_[got].iov_base) T);
		}
		pub_ = pub;
		count_ = got;
		return got;
	}

	__attribute__((noinline)) void left(std::size_t gone) noexcept
	{
		count_ -= gone;
		std::memmove(loans_, loans_ + gone, count_ * sizeof(iovec));
	}

	iovec loans_[N];
	std::size_t count_ = 0;
	kickmsg_publisher *pub_ = nullptr;
};

/* Publisher<> sends bytes, Publisher<T> messages of one type. After a call with an error_code it
 * may be empty. */
template <typename T = void> class Publisher
{
      public:
	Publisher() noexcept = default;
	explicit Publisher(SharedRegion &region);

	/* Copies and publishes. Returns the bytes; -EMSGSIZE, -EAGAIN no slot is free, -ESTALE, -ENOBUFS a
	 * reliable subscriber has no room. */
	std::int32_t send(void const *data, std::size_t len) noexcept
	{
		static_assert(std::is_void_v<T>, "a publisher of a type sends messages of it");
		return static_cast<std::int32_t>(kickmsg_send(pub_.get(), data, len));
	}

	template <typename U = T> std::int32_t send(U const &message) noexcept
	{
		static_assert(std::is_same_v<U, T>, "a publisher of a type sends messages of it");
		return static_cast<std::int32_t>(
			kickmsg_send(pub_.get(), &message, sizeof message));
	}

	/* Sends as send() does, and waits until each reliable subscriber has room. Also -ETIMEDOUT, -EINTR. */
	std::int32_t send_wait(void const *data, std::size_t len, nanoseconds timeout) noexcept
	{
		static_assert(std::is_void_v<T>, "a publisher of a type sends messages of it");
		return static_cast<std::int32_t>(
			kickmsg_send_wait(pub_.get(), data, len, detail::timeout(timeout)));
	}
	template <typename U = T>
	std::int32_t send_wait(U const &message, nanoseconds timeout) noexcept
	{
		static_assert(std::is_same_v<U, T>, "a publisher of a type sends messages of it");
		return static_cast<std::int32_t>(kickmsg_send_wait(
			pub_.get(), &message, sizeof message, detail::timeout(timeout)));
	}

	/* Sends many messages, which is faster than single calls. Returns how many were sent: fewer than
	 * `count` where the next one failed. Or the negative errno of the first one. */
	ssize_t send_many(iovec const *messages, std::size_t count) noexcept
	{
		static_assert(std::is_void_v<T>, "a publisher of a type sends messages of it");
		return kickmsg_send_many(pub_.get(), messages, count);
	}
	template <typename U = T>
	std::enable_if_t<!std::is_void_v<U>, ssize_t> send_many(
		U const *messages, std::size_t count) noexcept
	{
		static_assert(std::is_same_v<U, T>, "a publisher of a type sends messages of it");
		std::size_t all = 0;

		while (all < count) { /* in pieces, as the library does it */
			iovec piece[64];
			std::size_t const asked = count - all < 64 ? count - all : 64;
			for (std::size_t i = 0; i < asked; i++)
				piece[i] = { const_cast<U *>(messages + all + i), sizeof(U) };
			ssize_t const r = kickmsg_send_many(pub_.get(), piece, asked);
			if (r < 0)
				return all ? static_cast<ssize_t>(all) : r;
			all += static_cast<std::size_t>(r);
			if (static_cast<std::size_t>(r) < asked)
				break;
		}
		return static_cast<ssize_t>(all);
	}

	/* Lends up to `count` messages to be filled in place, max_loans at most. Returns how many. `fill`,
	 * which throws nothing, is called with each. */
	template <std::size_t N>
	std::size_t loan_many(Loans<T, N> &loans, std::size_t count = N) noexcept
	{
		return loans.lend(pub_.get(), count, [](T &) {});
	}
	template <std::size_t N, typename Fill>
	std::size_t loan_many(Loans<T, N> &loans, std::size_t count, Fill fill) noexcept
	{
		return loans.lend(pub_.get(), count, fill);
	}

	/* A descriptor to poll for POLLIN: readable while there may be room with the reliable subscribers. It
	 * stays the publisher's. */
	int fd()
	{
		int r = kickmsg_publisher_get_fd(pub_.get());

		if (r < 0)
			detail::fail(r, kickmsg_strerror(r));
		return r;
	}

	/* Lends one loan at a time; null: there is none to be had. The next call gives this loan
	 * back. */
	void *allocate(std::size_t len) noexcept
	{
		static_assert(
			std::is_void_v<T>, "a publisher of a type lends messages of it: loan()");
		if (pending_)
			kickmsg_discard(pub_.get(), pending_);
		pending_ = nullptr;
		pending_len_ = len;
		return kickmsg_loan(pub_.get(), len, &pending_) < 0 ? nullptr : pending_;
	}

	/* Publishes what was allocated; returns how many subscribers it reached. Where a reliable one has no
	 * room it reaches none, and can be published again. */
	std::size_t publish() noexcept
	{
		int r = pending_ ? sent(kickmsg_publish(pub_.get(), pending_, pending_len_)) : 0;

		return r < 0 ? 0 : static_cast<std::size_t>(r);
	}
	/* Publishes what was allocated, and waits until each reliable subscriber has room. Or a negative errno:
	 * of -ETIMEDOUT and -EINTR it can be published again. */
	std::int32_t publish_wait(nanoseconds timeout) noexcept
	{
		return pending_ ? sent(kickmsg_publish_wait(pub_.get(), pending_, pending_len_,
					  detail::timeout(timeout)))
				: -EINVAL;
	}

	/* Lends a message to be filled in place; empty where there is none to be had. */
	template <typename U = T> Loan<U> loan() noexcept
	{
		static_assert(
			std::is_same_v<U, T> && std::is_trivially_copyable_v<U> && alignof(U) <= 64,
			"a message is copied as bytes");
		void *payload;

		if (kickmsg_loan(pub_.get(), sizeof(U), &payload) < 0)
			return Loan<U>();
		if (!payload)
			__builtin_unreachable();
		return Loan<U>(pub_.get(), payload);
	}

	/* Waits until there are so many subscribers. False: the time is over, or the topic was
	 * given up. */
	bool wait_matched(std::uint32_t count = 1, nanoseconds timeout = forever) noexcept
	{
		return kickmsg_publisher_wait_matched(
			       pub_.get(), count, detail::timeout(timeout)) == 0;
	}

	std::uint32_t matched() const noexcept
	{
		return kickmsg_publisher_get_matched(pub_.get());
	}
	std::uint32_t reached() const noexcept
	{
		return kickmsg_publisher_reached(pub_.get());
	}
	kickmsg_publisher_stats stats() const noexcept
	{
		kickmsg_publisher_stats ret;

		kickmsg_publisher_get_stats(pub_.get(), &ret);
		return ret;
	}
	/* How many messages met an empty pool. */
	std::uint64_t dropped() const noexcept
	{
		return stats().failed;
	}

	explicit operator bool() const noexcept
	{
		return pub_ != nullptr;
	}
	kickmsg_publisher *c() const noexcept
	{
		return pub_.get();
	}

      private:
	friend class Node;
	Publisher(std::shared_ptr<detail::Connection> connection, kickmsg_publisher *pub) noexcept
	    : connection_(std::move(connection)), pub_(pub)
	{
	}

	int sent(int r) noexcept
	{
		if (__builtin_expect(!detail::is_still_lent(r), 1))
			pending_ = nullptr;
		return r;
	}

	std::shared_ptr<detail::Connection> connection_; /* outlives pub_ */
	std::unique_ptr<kickmsg_publisher, detail::FreePublisher> pub_;
	void *pending_ = nullptr;
	std::size_t pending_len_ = 0;
};

Publisher(SharedRegion &)->Publisher<void>;

/* --- subscribers --------------------------------------------------------------------------------- */

template <typename T = void> class Subscriber
{
      public:
	using SampleRef = ::kickmsg::SampleRef;
	using SampleView = ::kickmsg::SampleView;
	/* The result of a receive: a copy of bytes, or a message. */
	using Copy = std::conditional_t<std::is_void_v<T>, SampleRef, T>;
	using InPlace = std::conditional_t<std::is_void_v<T>, SampleView, View<T>>;

	Subscriber() noexcept = default;
	explicit Subscriber(SharedRegion &region);

	std::optional<Copy> try_receive()
	{
		return copy(0, nullptr);
	}
	std::optional<Copy> try_receive(std::error_code &ec)
	{
		return copy(0, &ec);
	}
	std::optional<Copy> receive(nanoseconds timeout)
	{
		return copy(detail::timeout(timeout), nullptr);
	}
	std::optional<Copy> receive(nanoseconds timeout, std::error_code &ec)
	{
		return copy(detail::timeout(timeout), &ec);
	}

	/* Copies into the caller's own message. False: there is none, as try_receive() and
	 * receive() say it. */
	template <typename U = T> bool try_receive_into(U &message)
	{
		return into(0, message);
	}
	template <typename U = T> bool receive_into(U &message, nanoseconds timeout)
	{
		return into(detail::timeout(timeout), message);
	}

	/* Copies into `room`, and describes the message. Empty: none came in time. An error, EMSGSIZE: it is
	 * longer, and stays where it is. */
	std::optional<kickmsg_sample> receive_into(
		void *room, std::size_t size, nanoseconds timeout)
	{
		std::optional<kickmsg_sample> got(std::in_place);
		int r = kickmsg_receive_into(
			sub_.get(), room, size, detail::timeout(timeout), &*got);

		if (r == 0)
			return got;
		tell(r, nullptr);
		return std::nullopt;
	}

	std::optional<InPlace> try_receive_view()
	{
		return view(0, nullptr);
	}
	std::optional<InPlace> try_receive_view(std::error_code &ec)
	{
		return view(0, &ec);
	}
	std::optional<InPlace> receive_view(nanoseconds timeout)
	{
		return view(detail::timeout(timeout), nullptr);
	}
	std::optional<InPlace> receive_view(nanoseconds timeout, std::error_code &ec)
	{
		return view(detail::timeout(timeout), &ec);
	}

	/* Takes up to N messages in their order, and waits for the first one alone. Returns how many; 0: none
	 * came in time. At most max_borrows. Messages of another length than a type's are dropped; there is
	 * an error, EMSGSIZE, where all were. */
	template <std::size_t N> std::size_t receive_many(Batch<T, N> &batch, nanoseconds timeout)
	{
		return many(batch, timeout, nullptr);
	}
	template <std::size_t N>
	std::size_t receive_many(Batch<T, N> &batch, nanoseconds timeout, std::error_code &ec)
	{
		return many(batch, timeout, &ec);
	}

	/* Ends a receive that sleeps, or else the next one that would sleep. For any thread and
	 * signal handlers. */
	void interrupt() noexcept
	{
		kickmsg_subscriber_interrupt(sub_.get());
	}

	/* A descriptor to poll for POLLIN; it stays the subscriber's. */
	int fd()
	{
		int r = kickmsg_subscriber_get_fd(sub_.get());

		if (r < 0)
			detail::fail(r, kickmsg_strerror(r));
		return r;
	}

	std::uint64_t lost() const noexcept
	{
		return kickmsg_subscriber_lost(sub_.get());
	}
	std::uint32_t matched() const noexcept
	{
		return kickmsg_subscriber_get_matched(sub_.get());
	}
	kickmsg_subscriber_stats stats() const noexcept
	{
		kickmsg_subscriber_stats ret;

		kickmsg_subscriber_get_stats(sub_.get(), &ret);
		return ret;
	}

	explicit operator bool() const noexcept
	{
		return sub_ != nullptr;
	}
	kickmsg_subscriber *c() const noexcept
	{
		return sub_.get();
	}

      private:
	friend class Node;
	friend class Operator;
	Subscriber(std::shared_ptr<detail::Connection> connection, kickmsg_subscriber *sub) noexcept
	    : connection_(std::move(connection)), sub_(sub)
	{
	}

	/* Says why a receive has nothing. */
	__attribute__((noinline)) static void tell(int error, std::error_code *ec)
	{
		if (ec)
			detail::set(*ec, error);
		else if (error != -EAGAIN && error != -ETIMEDOUT && error != -EINTR)
			detail::fail(error, kickmsg_strerror(error));
	}

	template <std::size_t N>
	std::size_t many(Batch<T, N> &batch, nanoseconds timeout, std::error_code *ec)
	{
		ssize_t r = batch.fill(sub_.get(), detail::timeout(timeout));

		if (__builtin_expect(r < 0, 0))
			tell(static_cast<int>(r), ec);
		else if (ec)
			ec->clear();
		return batch.size();
	}

	int borrow(std::int64_t timeout_ns, kickmsg_sample *ret) noexcept
	{
		return timeout_ns == 0 ? kickmsg_try_receive(sub_.get(), ret)
				       : kickmsg_receive(sub_.get(), timeout_ns, ret);
	}

	std::optional<InPlace> view(std::int64_t timeout_ns, std::error_code *ec)
	{
		std::optional<InPlace> got(std::in_place, detail::Unfilled{});
		kickmsg_sample *sample = got->sample();
		int r = borrow(timeout_ns, sample);

		if constexpr (!std::is_void_v<T>)
			if (r == 0 && sample->len != sizeof(T)) {
				kickmsg_sample_release(sample);
				r = -EMSGSIZE;
			}
		if (__builtin_expect(r == 0, 1)) {
			if (ec)
				ec->clear();
			if (!got || !sample->subscriber)
				__builtin_unreachable();
			return got;
		}
		sample->subscriber = nullptr;
		got.reset();
		tell(r, ec);
		return got;
	}

	std::optional<Copy> copy(std::int64_t timeout_ns, std::error_code *ec)
	{
		std::optional<Copy> got;
		int r;

		if constexpr (std::is_void_v<T>)
			r = copy_bytes(timeout_ns, got);
		else
			r = copy_message(timeout_ns, got);
		if (r < 0)
			tell(r, ec);
		else if (ec)
			ec->clear();
		return got;
	}

	int copy_bytes(std::int64_t timeout_ns, std::optional<Copy> &got)
	{
		kickmsg_sample sample;
		int r = borrow(timeout_ns, &sample);

		if (r < 0)
			return r;
		/* gives the sample back, whatever happens */
		SampleView owner(sample);
		if (buffer_.size() < sample.len)
			buffer_.resize(sample.len);
		if (sample.len)
			std::memcpy(buffer_.data(), sample.data, sample.len);
		got.emplace(buffer_.data(), sample.len, sample.ring_pos);
		return 0;
	}

	int copy_message(std::int64_t timeout_ns, std::optional<Copy> &got)
	{
		int r = take(timeout_ns, &got.emplace());

		if (r < 0)
			got.reset();
		return r;
	}

	template <typename U> bool into(std::int64_t timeout_ns, U &message)
	{
		static_assert(
			std::is_same_v<U, T>, "a subscriber of a type receives messages of it");
		int r = take(timeout_ns, &message);

		if (r < 0)
			tell(r, nullptr);
		return r == 0;
	}

	int take(std::int64_t timeout_ns, void *message) noexcept
	{
		ssize_t r = timeout_ns == 0
				    ? kickmsg_try_receive_copy(sub_.get(), message, message_size)
				    : kickmsg_receive_copy(
					      sub_.get(), message, message_size, timeout_ns);

		return r == static_cast<ssize_t>(message_size) ? 0 : refuse(r);
	}

	/* Drops a message of another length, which would be in the way of the next one. */
	int refuse(ssize_t r) noexcept
	{
		kickmsg_sample sample;

		if (r == -EMSGSIZE && kickmsg_try_receive(sub_.get(), &sample) == 0)
			kickmsg_sample_release(&sample);
		return r < 0 ? static_cast<int>(r) : -EMSGSIZE;
	}

	static constexpr std::size_t size_of_message() noexcept
	{
		if constexpr (std::is_void_v<T>)
			return 0;
		else
			return sizeof(T);
	}
	static constexpr std::size_t message_size = size_of_message();

	std::shared_ptr<detail::Connection> connection_; /* outlives sub_ */
	std::unique_ptr<kickmsg_subscriber, detail::FreeSubscriber> sub_;
	std::vector<std::byte> buffer_;
};

Subscriber(SharedRegion &)->Subscriber<void>;

struct BroadcastHandle {
	Publisher<> pub;
	Subscriber<> sub;
};

/* --- the node ------------------------------------------------------------------------------------ */

/* A topic of any kind, as calls that look at topics take it. */
struct TopicRef {
	std::string name;
	channel::Type kind = channel::PubSub;
	std::string owner{};  /* of a mailbox; empty: the node's own */
	std::string prefix{}; /* empty: the node's */

	TopicRef(char const *topic) : name(topic)
	{
	}
	TopicRef(std::string topic) : name(std::move(topic))
	{
	}
	TopicRef(std::string topic, channel::Type type, std::string of = {}, std::string in = {})
	    : name(std::move(topic)), kind(type), owner(std::move(of)), prefix(std::move(in))
	{
	}

	/* The C struct; it points into this. */
	kickmsg_topic_ref c() const noexcept
	{
		kickmsg_topic_ref ret{};

		ret.name = name.c_str();
		ret.owner = owner.empty() ? nullptr : owner.c_str();
		ret.prefix = prefix.empty() ? nullptr : prefix.c_str();
		ret.kind = static_cast<kickmsg_kind>(kind);
		return ret;
	}
};

/* A connection to the broker, from which publishers and subscribers come. For any thread. */
class Node
{
      public:
	explicit Node(Name name, Name kmsg_namespace = "kickmsg")
	    : Node(options_of(name, kmsg_namespace))
	{
	}
	explicit Node(NodeOptions options)
	{
		check(connect(std::move(options)));
	}
	Node(NodeOptions options, std::error_code &ec)
	{
		detail::set(ec, connect(std::move(options)));
	}

	Node(Node const &) = delete;
	Node &operator=(Node const &) = delete;
	Node(Node &&) noexcept = default;
	Node &operator=(Node &&) noexcept = default;
	~Node() = default;

	/* Calls about topics. With a std::error_code at the end they set that and throw nothing. */

	template <typename T = void>
	Publisher<T> advertise(Name topic, channel::Config const &config = default_config<T>())
	{
		return publisher<T>(nullptr, kickmsg_advertise, topic, config);
	}
	template <typename T = void>
	Publisher<T> advertise(Name topic, channel::Config const &config, std::error_code &ec)
	{
		return publisher<T>(&ec, kickmsg_advertise, topic, config);
	}

	template <typename T = void>
	Publisher<T> advertise_or_join(
		Name topic, channel::Config const &config = default_config<T>())
	{
		return publisher<T>(nullptr, kickmsg_advertise_or_join, topic, config);
	}
	template <typename T = void>
	Publisher<T> advertise_or_join(
		Name topic, channel::Config const &config, std::error_code &ec)
	{
		return publisher<T>(&ec, kickmsg_advertise_or_join, topic, config);
	}

	/* Subscribes. A subscriber of a type refuses a topic that has another schema, or none. */
	template <typename T = void>
	Subscriber<T> subscribe(Name topic, SubscribeOptions const &options = {})
	{
		return subscribe_to<T>(nullptr, topic, options);
	}
	template <typename T = void>
	Subscriber<T> subscribe(Name topic, SubscribeOptions const &options, std::error_code &ec)
	{
		return subscribe_to<T>(&ec, topic, options);
	}

	template <typename T = void>
	Subscriber<T> subscribe_or_create(Name topic,
		channel::Config const &config = default_config<T>(),
		SubscribeOptions const &options = {})
	{
		return subscribe_or_make<T>(nullptr, topic, config, options);
	}
	template <typename T = void>
	Subscriber<T> subscribe_or_create(Name topic, channel::Config const &config,
		SubscribeOptions const &options, std::error_code &ec)
	{
		return subscribe_or_make<T>(&ec, topic, config, options);
	}

	/* Joins a channel. A member hears itself unless options.skip_own. */
	BroadcastHandle join_broadcast(Name channel, channel::Config const &config = {},
		SubscribeOptions const &options = {})
	{
		return join(nullptr, channel, config, options);
	}
	BroadcastHandle join_broadcast(Name channel, channel::Config const &config,
		SubscribeOptions const &options, std::error_code &ec)
	{
		return join(&ec, channel, config, options);
	}

	Subscriber<> create_mailbox(
		Name tag, channel::Config const &config = {}, SubscribeOptions const &options = {})
	{
		return make_mailbox(nullptr, tag, config, options);
	}
	Subscriber<> create_mailbox(Name tag, channel::Config const &config,
		SubscribeOptions const &options, std::error_code &ec)
	{
		return make_mailbox(&ec, tag, config, options);
	}

	Publisher<> open_mailbox(Name owner_node, Name tag)
	{
		return open(nullptr, owner_node, tag);
	}
	Publisher<> open_mailbox(Name owner_node, Name tag, std::error_code &ec)
	{
		return open(&ec, owner_node, tag);
	}

	/* Takes a name away; it is no error when there was none. */
	void unlink_topic(Name topic) const
	{
		unlink(kickmsg_unlink_topic(c(), topic.c_str()));
	}
	void unlink_broadcast(Name channel) const
	{
		unlink(kickmsg_unlink_broadcast(c(), channel.c_str()));
	}
	void unlink_mailbox(Name tag) const
	{
		unlink(kickmsg_unlink_mailbox(c(), tag.c_str()));
	}
	void unlink(TopicRef const &topic) const
	{
		kickmsg_topic_ref const ref = topic.c();

		unlink(kickmsg_unlink(c(), &ref));
	}

	/* The topic's schema; empty: it has none, or there is no such topic. */
	std::optional<SchemaInfo> topic_schema(TopicRef const &topic) const
	{
		kickmsg_topic_ref ref = topic.c();
		SchemaInfo got;
		int r = kickmsg_topic_schema(c(), &ref, got.c());

		if (r == -ENODATA || r == -ENOENT)
			return std::nullopt;
		check(r);
		return got;
	}

	/* Gives the topic its schema; false: another one stands. */
	bool try_claim_topic_schema(TopicRef const &topic, SchemaInfo const &info)
	{
		kickmsg_topic_ref ref = topic.c();
		int r = kickmsg_claim_schema(c(), &ref, info.c(), nullptr);

		if (r != -EEXIST)
			check(r);
		return r == 0;
	}

	/* These look at topics, and return the structs of the C interface. */
	std::vector<kickmsg_topic_info> topics() const
	{
		return pages<kickmsg_topic_info>(
			[this](std::uint64_t *cursor, auto *page, std::size_t count) {
				return kickmsg_topic_list(c(), cursor, page, count);
			});
	}
	kickmsg_topic_info topic_info(TopicRef const &topic) const
	{
		return ask<kickmsg_topic_info>(kickmsg_topic_get_info, topic);
	}
	kickmsg_topic_stats topic_stats(TopicRef const &topic) const
	{
		return ask<kickmsg_topic_stats>(kickmsg_topic_get_stats, topic);
	}
	kickmsg_topic_diagnosis diagnose(TopicRef const &topic) const
	{
		return ask<kickmsg_topic_diagnosis>(kickmsg_topic_diagnose, topic);
	}
	kickmsg_repair_report recover(TopicRef const &topic)
	{
		return ask<kickmsg_repair_report>(kickmsg_topic_recover, topic);
	}
	std::vector<kickmsg_ring_stats> ring_stats(TopicRef const &topic) const
	{
		kickmsg_topic_ref ref = topic.c();
		return pages<kickmsg_ring_stats>(
			[&](std::uint64_t *cursor, auto *page, std::size_t count) {
				return kickmsg_topic_ring_stats(c(), &ref, cursor, page, count);
			});
	}
	std::vector<kickmsg_participant> participants(TopicRef const &topic) const
	{
		kickmsg_topic_ref ref = topic.c();
		return pages<kickmsg_participant>(
			[&](std::uint64_t *cursor, auto *page, std::size_t count) {
				return kickmsg_topic_participants(c(), &ref, cursor, page, count);
			});
	}

	/* The descriptor of the connection: poll it for POLLIN and call dispatch(). False: there is
	 * no broker now. */
	int fd() const noexcept
	{
		return kickmsg_client_get_fd(c());
	}
	bool dispatch()
	{
		int r = kickmsg_client_dispatch(c());

		if (r < 0 && r != -ENOTCONN)
			check(r);
		return r >= 0;
	}

	/* Tells by what the descriptors of the node's subscribers learn of messages. */
	kickmsg_client_info info() const noexcept
	{
		kickmsg_client_info ret;

		kickmsg_client_get_info(c(), &ret);
		return ret;
	}

	/* Tells what there is to say about this thread's last call. */
	std::string last_error() const
	{
		return kickmsg_client_last_error(c());
	}
	std::string const &name() const noexcept
	{
		return name_;
	}
	std::string const &kmsg_namespace() const noexcept
	{
		return namespace_;
	}
	/* Each handle of the node keeps it alive. */
	std::shared_ptr<detail::Connection> const &connection() const noexcept
	{
		return connection_;
	}
	explicit operator bool() const noexcept
	{
		return connection_ && connection_->client;
	}
	kickmsg_client *c() const noexcept
	{
		return connection_ ? connection_->client : nullptr;
	}

      private:
	friend class Operator;
	friend class SharedRegion;

	static NodeOptions options_of(Name name, Name kmsg_namespace)
	{
		NodeOptions options;

		options.name = name.c_str();
		options.kmsg_namespace = kmsg_namespace.c_str();
		return options;
	}

	template <typename T> static channel::Config default_config()
	{
		channel::Config config;

		if constexpr (!std::is_void_v<T>)
			config.max_payload_size = sizeof(T);
		return config;
	}

	/* Puts the type's schema where the caller says none. */
	template <typename T, typename Asked> static Asked with_schema(Asked asked)
	{
		if constexpr (!std::is_void_v<T>)
			if (!asked.schema)
				asked.schema = schema_of<T>();
		return asked;
	}

	int connect(NodeOptions options)
	{
		kickmsg_client_config config{};
		auto connection = std::make_shared<detail::Connection>();

		name_ = std::move(options.name);
		namespace_ = std::move(options.kmsg_namespace);
		config.name = name_.empty() ? nullptr : name_.c_str();
		config.prefix = namespace_.c_str();
		config.socket_path = options.socket_path.empty() ? nullptr
								 : options.socket_path.c_str();
		config.timeout_ns = detail::unsigned_time(options.timeout);
		config.wait_for_broker_ns = detail::unsigned_time(options.wait_for_broker);
		if (options.on_event) {
			connection->on_event = std::move(options.on_event);
			config.userdata = connection.get();
			config.on_event = [](void *userdata, kickmsg_event const *event) {
				static_cast<detail::Connection *>(userdata)->on_event(*event);
			};
		}
		int r = kickmsg_client_new(&config, &connection->client);
		if (r == 0)
			connection_ = std::move(connection);
		return r;
	}

	void check(ssize_t r) const
	{
		if (r >= 0)
			return;
		std::string text = kickmsg_client_last_error(c());
		detail::fail(static_cast<int>(r),
			text.empty() ? kickmsg_strerror(static_cast<int>(r)) : text);
	}

	void tell(int r, std::error_code *ec) const
	{
		if (ec)
			detail::set(*ec, r);
		else
			check(r);
	}

	void unlink(int r) const
	{
		if (r != -ENOENT)
			check(r);
	}

	/* Refuses a topic that has messages of another type: a topic that was joined with whatever
	 * config it has may. */
	template <typename T> int check_type(Name topic, channel::Config const &asked) const
	{
		int r = 0;

		if constexpr (!std::is_void_v<T>) {
			kickmsg_topic_ref ref{};
			SchemaInfo stands;

			ref.name = topic.c_str();
			r = kickmsg_topic_schema(c(), &ref, stands.c());
			if (r == 0 && schema::diff(stands, *asked.schema) != schema::Equal)
				r = -EPROTOTYPE;
		}
		return r;
	}

	template <typename T>
	Publisher<T> publisher(std::error_code *ec,
		int (*call)(kickmsg_client *, char const *, kickmsg_topic_config const *,
			kickmsg_publisher **),
		Name topic, channel::Config const &config)
	{
		channel::Config const asked = with_schema<T>(config);
		kickmsg_topic_config const c_config = asked.c();
		kickmsg_publisher *pub = nullptr;
		int r = call(c(), topic.c_str(), &c_config, &pub);
		Publisher<T> made(connection_, pub);

		if (r >= 0 && call == kickmsg_advertise_or_join &&
			(r = check_type<T>(topic, asked)) < 0)
			made = Publisher<T>();
		tell(r, ec);
		return made;
	}

	template <typename T>
	Subscriber<T> subscribe_to(std::error_code *ec, Name topic, SubscribeOptions const &options)
	{
		SubscribeOptions const asked = with_schema<T>(options);
		kickmsg_subscribe_options const c_options = asked.c();
		kickmsg_subscriber *sub = nullptr;

		tell(kickmsg_subscribe(c(), topic.c_str(), &c_options, &sub), ec);
		return Subscriber<T>(connection_, sub);
	}

	template <typename T>
	Subscriber<T> subscribe_or_make(std::error_code *ec, Name topic,
		channel::Config const &config, SubscribeOptions const &options)
	{
		channel::Config const asked = with_schema<T>(config);
		kickmsg_topic_config const c_config = asked.c();
		SubscribeOptions const wanted = with_schema<T>(options);
		kickmsg_subscribe_options const c_options = wanted.c();
		kickmsg_subscriber *sub = nullptr;

		tell(kickmsg_subscribe_or_create(c(), topic.c_str(), &c_config, &c_options, &sub),
			ec);
		return Subscriber<T>(connection_, sub);
	}

	BroadcastHandle join(std::error_code *ec, Name channel, channel::Config const &config,
		SubscribeOptions const &options)
	{
		kickmsg_topic_config const c_config = config.c();
		kickmsg_subscribe_options const c_options = options.c();
		kickmsg_publisher *pub = nullptr;
		kickmsg_subscriber *sub = nullptr;

		tell(kickmsg_join_broadcast(
			     c(), channel.c_str(), &c_config, &c_options, &pub, &sub),
			ec);
		return { Publisher<>(connection_, pub), Subscriber<>(connection_, sub) };
	}

	Subscriber<> make_mailbox(std::error_code *ec, Name tag, channel::Config const &config,
		SubscribeOptions const &options)
	{
		channel::Config one = config;
		one.max_subscribers = 1;
		kickmsg_topic_config const c_config = one.c();
		kickmsg_subscribe_options const c_options = options.c();
		kickmsg_subscriber *sub = nullptr;

		tell(kickmsg_create_mailbox(c(), tag.c_str(), &c_config, &c_options, &sub), ec);
		return Subscriber<>(connection_, sub);
	}

	Publisher<> open(std::error_code *ec, Name owner_node, Name tag)
	{
		kickmsg_publisher *pub = nullptr;

		tell(kickmsg_open_mailbox(c(), owner_node.c_str(), tag.c_str(), &pub), ec);
		return Publisher<>(connection_, pub);
	}

	template <typename R>
	R ask(int (*call)(kickmsg_client *, kickmsg_topic_ref const *, R *),
		TopicRef const &topic) const
	{
		kickmsg_topic_ref ref = topic.c();
		R ret{};

		check(call(c(), &ref, &ret));
		return ret;
	}

	template <typename R, typename Call> std::vector<R> pages(Call call) const
	{
		std::vector<R> all, page(32);
		std::uint64_t cursor = 0;

		for (;;) {
			ssize_t n = call(&cursor, page.data(), page.size());
			check(n);
			if (n == 0)
				return all;
			all.insert(all.end(), page.begin(), page.begin() + n);
		}
	}

	std::shared_ptr<detail::Connection> connection_;
	std::string name_, namespace_;
};

/* --- regions ------------------------------------------------------------------------------------- */

/* A topic for programs that were written for shared memory of their own: it comes to be here, and
 * ends with its last participant, or with unlink(). */
class SharedRegion
{
      public:
	struct HealthReport {
		std::uint32_t locked_entries; /* references that nobody accounts for */
		std::uint32_t retired_rings;  /* rings of the dead, not emptied yet */
		std::uint32_t draining_rings; /* participants that left and aren't settled yet */
		std::uint32_t live_rings;
		bool schema_stuck; /* never: a claim is one step of the broker */
		kickmsg_topic_diagnosis all;
	};

	/* Makes the topic, or joins it if it is there with this config. */
	static SharedRegion create(Node &node, Name topic, channel::Config const &config = {})
	{
		return SharedRegion(node, topic, config, node.advertise(topic, config));
	}
	/* Takes a topic that is there as it is. */
	static SharedRegion create_or_open(
		Node &node, Name topic, channel::Config const &config = {})
	{
		return SharedRegion(node, topic, config, node.advertise_or_join(topic, config));
	}

	std::string const &name() const noexcept
	{
		return topic_.name;
	}
	std::optional<SchemaInfo> schema() const
	{
		return node_->topic_schema(topic_);
	}
	bool try_claim_schema(SchemaInfo const &info)
	{
		return node_->try_claim_topic_schema(topic_, info);
	}
	kickmsg_topic_info info() const
	{
		return node_->topic_info(topic_);
	}
	kickmsg_topic_stats stats() const
	{
		return node_->topic_stats(topic_);
	}

	HealthReport diagnose() const
	{
		kickmsg_topic_diagnosis all = node_->diagnose(topic_);

		return { all.stale_references, all.rings_undrained, all.leaving, all.rings_live,
			false, all };
	}

	/* The following repairs are the broker's own work, unless its config says otherwise. */
	std::size_t repair_locked_entries()
	{
		return repair(kickmsg_topic_repair).references_dropped;
	}
	std::size_t reset_retired_rings()
	{
		return repair(kickmsg_topic_reset_rings).rings_reset;
	}
	std::size_t reclaim_orphaned_slots()
	{
		return repair(kickmsg_topic_reclaim).slots_reclaimed;
	}

	void unlink()
	{
		node_->unlink_topic(topic_.name);
	}

	Node &node() const noexcept
	{
		return *node_;
	}
	channel::Config const &config() const noexcept
	{
		return config_;
	}

      private:
	SharedRegion(Node &node, Name topic, channel::Config const &config, Publisher<> &&keeper)
	    : node_(&node), topic_(topic.c_str()), config_(config), keeper_(std::move(keeper))
	{
	}

	kickmsg_repair_report repair(
		int (*call)(kickmsg_client *, kickmsg_topic_ref const *, kickmsg_repair_report *))
	{
		return node_->ask<kickmsg_repair_report>(call, topic_);
	}

	Node *node_; /* outlives this */
	TopicRef topic_;
	channel::Config config_;
	Publisher<> keeper_; /* keeps the topic while nobody else does */
};

template <typename T>
Publisher<T>::Publisher(SharedRegion &region)
    : Publisher(region.node().advertise_or_join<T>(region.name(), region.config()))
{
}

template <typename T>
Subscriber<T>::Subscriber(SharedRegion &region)
    : Subscriber(region.node().subscribe<T>(region.name()))
{
}

/* --- wait sets ----------------------------------------------------------------------------------- */

/* A set of subscribers, publishers, nodes, descriptors and deadlines to wait for at once. It owns no member:
 * take out a member that is about to end. `key` names a member, in what a wait returns and for its
 * removal. */
class WaitSet
{
      public:
	WaitSet()
	{
		kickmsg_waitset *set = nullptr;

		check(kickmsg_waitset_new(&set));
		set_.reset(set);
	}

	template <typename T> void add(Subscriber<T> const &sub, void *key)
	{
		check(kickmsg_waitset_add_subscriber(set_.get(), sub.c(), key));
	}
	/* A publisher is ready while a send finds room with the reliable subscribers. */
	template <typename T> void add(Publisher<T> const &pub, void *key)
	{
		check(kickmsg_waitset_add_publisher(set_.get(), pub.c(), key));
	}
	void add(Node const &node, void *key)
	{
		check(kickmsg_waitset_add_client(set_.get(), node.c(), key));
	}
	void add(int fd, short events, void *key)
	{
		check(kickmsg_waitset_add_fd(set_.get(), fd, events, key));
	}
	void add(std::chrono::steady_clock::time_point deadline, void *key)
	{
		check(kickmsg_waitset_add_deadline(
			set_.get(), nanoseconds(deadline.time_since_epoch()).count(), key));
	}
	/* Takes out the members of that key. False: there is none. */
	bool remove(void const *key) noexcept
	{
		return kickmsg_waitset_remove(set_.get(), key) == 0;
	}

	/* Fills in keys of members that are ready, and returns how many; 0: the time is over, or it was
	 * interrupted. */
	std::size_t wait(nanoseconds timeout, void **ready, std::size_t capacity)
	{
		int r = kickmsg_waitset_wait(set_.get(), detail::timeout(timeout), ready, capacity);

		if (r == -EAGAIN || r == -ETIMEDOUT || r == -EINTR)
			return 0;
		check(r);
		return static_cast<std::size_t>(r);
	}
	std::vector<void *> wait(nanoseconds timeout)
	{
		std::vector<void *> ready(32);

		ready.resize(wait(timeout, ready.data(), ready.size()));
		return ready;
	}

	/* Ends a wait, or else the next one. For any thread and signal handlers. */
	void interrupt() noexcept
	{
		kickmsg_waitset_interrupt(set_.get());
	}
	kickmsg_waitset *c() const noexcept
	{
		return set_.get();
	}

      private:
	struct Free {
		void operator()(kickmsg_waitset *set) const noexcept
		{
			kickmsg_waitset_free(set);
		}
	};

	static void check(int r)
	{
		if (r < 0)
			detail::fail(r, kickmsg_strerror(r));
	}

	std::unique_ptr<kickmsg_waitset, Free> set_;
};
} // namespace kickmsg

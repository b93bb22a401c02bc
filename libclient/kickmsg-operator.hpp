/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tools of operators in C++17, over kickmsg-operator.h as kickmsg.hpp is over kickmsg.h. It is one file
 * so that it can be copied.
 *
 *	kickmsg::Node node("tool");
 *	kickmsg::Operator broker(node);
 *	for (auto const &client : broker.clients())
 *		std::puts(client.name);
 *	broker.watch([](kickmsg_happening const &happening) { std::puts(happening.text); });
 *	while (wait_for(node.fd()))
 *		node.dispatch();
 *
 * The structs are those of kickmsg-operator.h. Errors are as kickmsg.hpp has them: kickmsg::Error, with the
 * broker's words. An Operator is for any thread, and may not outlive its node.
 */
#pragma once

#include <kickmsg-operator.h>
#include <kickmsg.hpp>

namespace kickmsg
{
namespace detail
{
/* A text that the C interface writes into `Size` bytes. */
template <std::size_t Size, typename Write> std::string text(Write write)
{
	char ret[Size];
	int r = write(ret, Size);

	if (r < 0)
		fail(r, kickmsg_strerror(r));
	return ret;
}
} // namespace detail

/* The path where a Node looks for the broker: `said`, or where it is empty the user's or the system's. */
inline std::string socket_path(std::string const &said = {})
{
	return detail::text<256>([&](char *ret, std::size_t size) {
		return kickmsg_socket_path(said.empty() ? nullptr : said.c_str(), ret, size);
	});
}

inline char const *system_socket() noexcept
{
	return kickmsg_system_socket();
}

/* Writes a name, a prefix or a client's name for people, and reads what they wrote: %XX. */
inline std::string write_part(Name part)
{
	return detail::text<KICKMSG_NAME_SIZE>([&](char *ret, std::size_t size) {
		return kickmsg_part_write(part.c_str(), ret, size);
	});
}
inline std::string read_part(Name written)
{
	return detail::text<KICKMSG_NAME_SIZE>([&](char *ret, std::size_t size) {
		return kickmsg_part_read(written.c_str(), ret, size);
	});
}

/* Writes a whole name, of a topic with a prefix. */
inline std::string write_name(TopicRef const &topic)
{
	kickmsg_topic_ref const ref = topic.c();

	return detail::text<KICKMSG_WHOLE_NAME_SIZE>(
		[&](char *ret, std::size_t size) { return kickmsg_name_write(&ref, ret, size); });
}

/* "topic", "channel" and so on; null: there is no such kind. */
inline char const *kind_name(channel::Type kind) noexcept
{
	return kickmsg_kind_name(static_cast<kickmsg_kind>(kind));
}

/* A user whose rights are asked for. */
struct User {
	std::uint32_t uid;
	std::uint32_t gid = UINT32_MAX; /* none */
	std::vector<std::uint32_t> groups{};

	/* The C struct; it points into this. */
	kickmsg_user c() const noexcept
	{
		kickmsg_user ret{};

		ret.uid = uid;
		ret.gid = gid;
		ret.groups = groups.data();
		ret.group_count = detail::narrow(groups.size());
		return ret;
	}
};

/* The broker of a node. */
class Operator
{
      public:
	explicit Operator(Node &node) noexcept : node_(&node)
	{
	}

	kickmsg_broker_status status() const
	{
		kickmsg_broker_status ret;

		node_->check(kickmsg_broker_get_status(node_->c(), &ret));
		return ret;
	}
	std::vector<kickmsg_broker_client> clients() const
	{
		return pages<kickmsg_broker_client>(kickmsg_broker_clients);
	}
	std::vector<kickmsg_topic_numbers> numbers() const
	{
		return pages<kickmsg_topic_numbers>(kickmsg_topic_list_numbers);
	}
	std::vector<kickmsg_config_value> config() const
	{
		return pages<kickmsg_config_value>(kickmsg_broker_config);
	}
	std::vector<kickmsg_anomaly> anomalies(TopicRef const &topic) const
	{
		kickmsg_topic_ref const ref = topic.c();

		return node_->pages<kickmsg_anomaly>([&](std::uint64_t *cursor, auto *page,
							     std::size_t count) {
			return kickmsg_topic_anomalies(node_->c(), &ref, cursor, page, count);
		});
	}

	/* The caller's rights, or another user's. */
	kickmsg_topic_rights rights(TopicRef const &topic) const
	{
		return rights(topic, nullptr);
	}
	kickmsg_topic_rights rights(TopicRef const &topic, User const &user) const
	{
		kickmsg_user const c = user.c();

		return rights(topic, &c);
	}

	/* Sets the level of the broker's log, of syslog(3), until it reads its configuration again. */
	void set_log_level(std::uint32_t level)
	{
		node_->check(kickmsg_broker_set_log_level(node_->c(), level));
	}

	/* Repairs kind by kind; Node::recover() does all of it. */
	kickmsg_repair_report repair(TopicRef const &topic)
	{
		return node_->ask<kickmsg_repair_report>(kickmsg_topic_repair, topic);
	}
	kickmsg_repair_report reset_rings(TopicRef const &topic)
	{
		return node_->ask<kickmsg_repair_report>(kickmsg_topic_reset_rings, topic);
	}
	kickmsg_repair_report reclaim(TopicRef const &topic)
	{
		return node_->ask<kickmsg_repair_report>(kickmsg_topic_reclaim, topic);
	}

	/* Subscribes to a topic of any kind: to a channel without being a member, to a mailbox for its owner. */
	Subscriber<> subscribe(TopicRef const &topic, SubscribeOptions const &options = {})
	{
		kickmsg_topic_ref const ref = topic.c();
		kickmsg_subscribe_options const c_options = options.c();
		kickmsg_subscriber *sub = nullptr;

		node_->check(kickmsg_subscribe_to(node_->c(), &ref, &c_options, &sub));
		return Subscriber<>(node_->connection(), sub);
	}

	/* Watches the broker from now on, once a node: Node::dispatch() alone calls this, until the node ends. */
	void watch(std::function<void(kickmsg_happening const &)> on_happening)
	{
		bool const is_there = static_cast<bool>(on_happening);
		auto kept = std::make_shared<std::function<void(kickmsg_happening const &)>>(
			std::move(on_happening));
		auto call = [](void *userdata, kickmsg_happening const *happening) {
			(*static_cast<decltype(kept)::element_type *>(userdata))(*happening);
		};

		node_->check(
			kickmsg_broker_watch(node_->c(), is_there ? +call : nullptr, kept.get()));
		node_->connection()->on_happening = std::move(kept);
	}

      private:
	template <typename R>
	std::vector<R> pages(
		ssize_t (*call)(kickmsg_client *, std::uint64_t *, R *, std::size_t)) const
	{
		return node_->pages<R>([&](std::uint64_t *cursor, auto *page, std::size_t count) {
			return call(node_->c(), cursor, page, count);
		});
	}

	kickmsg_topic_rights rights(TopicRef const &topic, kickmsg_user const *user) const
	{
		kickmsg_topic_ref const ref = topic.c();
		kickmsg_topic_rights ret;

		node_->check(kickmsg_topic_get_rights(node_->c(), &ref, user, &ret));
		return ret;
	}

	Node *node_; /* outlives this */
};
} // namespace kickmsg

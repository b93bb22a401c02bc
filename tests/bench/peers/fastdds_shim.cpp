/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fast DDS as its documentation has it for zero-copy between processes: a plain, bounded type, data sharing, lent
 * samples on both sides; discovery and what remains over its shared memory transport.
 */
#include "fastdds_shim.h"

#include <cstring>
#include <fastdds/dds/core/LoanableSequence.hpp>
#include <fastdds/dds/domain/DomainParticipant.hpp>
#include <fastdds/dds/domain/DomainParticipantFactory.hpp>
#include <fastdds/dds/publisher/DataWriter.hpp>
#include <fastdds/dds/publisher/Publisher.hpp>
#include <fastdds/dds/subscriber/DataReader.hpp>
#include <fastdds/dds/subscriber/SampleInfo.hpp>
#include <fastdds/dds/subscriber/Subscriber.hpp>
#include <fastdds/dds/topic/TopicDataType.hpp>
#include <fastdds/dds/topic/TypeSupport.hpp>
#include <fastdds/rtps/transport/shared_mem/SharedMemTransportDescriptor.h>
#include <memory>

using namespace eprosima::fastdds::dds;
using eprosima::fastrtps::rtps::InstanceHandle_t;
using eprosima::fastrtps::rtps::SerializedPayload_t;

namespace {

constexpr uint32_t header_size = 4; /* of the encapsulation, before each sample */

/* An array of bytes of a fixed size. */
class Bytes : public TopicDataType {
public:
	explicit Bytes(size_t size) : size_(static_cast<uint32_t>(size))
	{
		setName(("Bytes" + std::to_string(size)).c_str());
		m_typeSize = size_ + header_size;
		m_isGetKeyDefined = false;
	}

	bool serialize(void *data, SerializedPayload_t *payload) override
	{
		std::memset(payload->data, 0, header_size);
		std::memcpy(payload->data + header_size, data, size_);
		payload->length = size_ + header_size;
		return true;
	}

	bool deserialize(SerializedPayload_t *payload, void *data) override
	{
		std::memcpy(data, payload->data + header_size, size_);
		return true;
	}

	std::function<uint32_t()> getSerializedSizeProvider(void *) override
	{
		return [this] { return size_ + header_size; };
	}

	void *createData() override
	{
		return new unsigned char[size_];
	}

	void deleteData(void *data) override
	{
		delete[] static_cast<unsigned char *>(data);
	}

	bool getKey(void *, InstanceHandle_t *, bool) override
	{
		return false;
	}

	bool is_bounded() const override
	{
		return true;
	}

	bool is_plain() const override
	{
		return true;
	}

	bool construct_sample(void *) const override
	{
		return true;
	}

private:
	uint32_t size_;
};

struct Sample { /* its bytes follow; sequences of lent samples hold pointers alone */
	unsigned char first;
};

struct Reader {
	DataReader *reader;
	LoanableSequence<Sample> samples;
	SampleInfoSeq infos;
};

DomainParticipant *participant; /* this process' */

Topic *topic_of(unsigned domain, const char *name, size_t size)
{
	if (!participant) {
		DomainParticipantQos qos = PARTICIPANT_QOS_DEFAULT;
		auto memory = std::make_shared<
			eprosima::fastdds::rtps::SharedMemTransportDescriptor>();

		memory->segment_size(16u << 20);
		memory->max_message_size(2u << 20);
		qos.transport().use_builtin_transports = false;
		qos.transport().user_transports.push_back(memory);
		participant = DomainParticipantFactory::get_instance()->create_participant(domain, qos);
	}
	if (!participant)
		return nullptr;
	TypeSupport type(new Bytes(size));

	type.register_type(participant);
	auto *there = dynamic_cast<Topic *>(participant->lookup_topicdescription(name));

	return there ? there
		     : participant->create_topic(name, type.get_type_name(), TOPIC_QOS_DEFAULT);
}

/* What writers and readers have in common. */
template <typename Qos> void set_qos(Qos *qos, int depth)
{
	qos->reliability().kind = RELIABLE_RELIABILITY_QOS;
	qos->durability().kind = VOLATILE_DURABILITY_QOS;
	qos->history().kind = KEEP_LAST_HISTORY_QOS;
	qos->history().depth = depth;
	qos->resource_limits().max_samples = 2 * depth;
	qos->resource_limits().max_samples_per_instance = 2 * depth;
	qos->resource_limits().max_instances = 1;
	qos->data_sharing().automatic();
	qos->endpoint().history_memory_policy =
		eprosima::fastrtps::rtps::PREALLOCATED_MEMORY_MODE;
}

} // namespace

void *fastdds_writer_new(unsigned domain, const char *name, size_t size, int depth)
{
	Topic *topic = topic_of(domain, name, size);
	Publisher *publisher = topic ? participant->create_publisher(PUBLISHER_QOS_DEFAULT) : nullptr;
	DataWriterQos qos = DATAWRITER_QOS_DEFAULT;

	set_qos(&qos, depth);
	qos.publish_mode().kind = SYNCHRONOUS_PUBLISH_MODE;
	return publisher ? publisher->create_datawriter(topic, qos) : nullptr;
}

void *fastdds_reader_new(unsigned domain, const char *name, size_t size, int depth)
{
	Topic *topic = topic_of(domain, name, size);
	Subscriber *subscriber =
		topic ? participant->create_subscriber(SUBSCRIBER_QOS_DEFAULT) : nullptr;
	DataReaderQos qos = DATAREADER_QOS_DEFAULT;
	Reader *reader = new Reader();

	set_qos(&qos, depth);
	reader->reader = subscriber ? subscriber->create_datareader(topic, qos) : nullptr;
	return reader->reader ? reader : nullptr;
}

void *fastdds_loan(void *writer)
{
	void *sample = nullptr;

	return static_cast<DataWriter *>(writer)->loan_sample(sample) == ReturnCode_t::RETCODE_OK
		       ? sample
		       : nullptr;
}

int fastdds_write(void *writer, void *sample)
{
	return static_cast<DataWriter *>(writer)->write(sample) ? 0 : -1;
}

const void *fastdds_take(void *opaque, bool block)
{
	Reader *reader = static_cast<Reader *>(opaque);

	for (;;) {
		if (reader->reader->take(reader->samples, reader->infos, 1) ==
			ReturnCode_t::RETCODE_OK) {
			if (reader->infos[0].valid_data)
				return &reader->samples[0];
			reader->reader->return_loan(reader->samples, reader->infos);
		}
		if (!block || !reader->reader->wait_for_unread_message({ 0, 100000000 }))
			return nullptr;
	}
}

void fastdds_release(void *opaque)
{
	Reader *reader = static_cast<Reader *>(opaque);

	reader->reader->return_loan(reader->samples, reader->infos);
}

void fastdds_end(void)
{
	if (!participant)
		return;
	participant->delete_contained_entities();
	DomainParticipantFactory::get_instance()->delete_participant(participant);
	participant = nullptr;
}

#include "amqp/performatives.hpp"

namespace millrace::amqp {

namespace {

/// A described list that is being written; its end fills in the size.
class Fields {
  public:
    Fields(Writer& writer, std::uint64_t code, std::uint32_t count) : writer_(writer) {
        writer_.descriptor(code);
        mark_ = writer_.begin_list(count);
    }
    ~Fields() { writer_.end(mark_); }
    Fields(const Fields&) = delete;

  private:
    Writer& writer_;
    std::size_t mark_ = 0;
};

void nulls(Writer& writer, int count) {
    for (int i = 0; i < count; ++i) writer.null();
}

void uint_or_null(Writer& writer, const std::optional<std::uint32_t>& value) {
    value ? writer.uint(*value) : writer.null();
}

void map_or_null(Writer& writer, const Map& map) { map.empty() ? writer.null() : writer.map(map); }

void symbols_or_null(Writer& writer, const std::vector<std::string>& names) {
    if (names.empty()) return writer.null();
    Array array{0xb3, {}};
    for (const std::string& name : names) array.items.emplace_back(Symbol{name});
    writer.value(array);
}

void error_or_null(Writer& writer, const std::optional<Condition>& error) {
    if (!error) return writer.null();
    const Fields fields(writer, 0x1d, 3);
    writer.symbol(error->name);
    error->description.empty() ? writer.null() : writer.text(error->description);
    map_or_null(writer, error->info);
}

void write_source(Writer& writer, const std::optional<Source>& source) {
    if (!source) return writer.null();
    const Fields fields(writer, 0x28, 11);
    source->address ? writer.text(*source->address) : writer.null();
    writer.uint(source->durable);
    source->expiry_policy ? writer.symbol(*source->expiry_policy) : writer.null();
    writer.uint(source->timeout);
    writer.boolean(source->dynamic);
    nulls(writer, 2);  // dynamic-node-properties, distribution-mode
    map_or_null(writer, source->filter);
    nulls(writer, 2);  // default-outcome, outcomes
    symbols_or_null(writer, source->capabilities);
}

void write_target(Writer& writer, const std::optional<Target>& target) {
    if (!target) return writer.null();
    if (target->coordinator) {
        const Fields fields(writer, 0x30, 1);
        return symbols_or_null(writer, target->capabilities);
    }
    const Fields fields(writer, 0x29, 7);
    target->address ? writer.text(*target->address) : writer.null();
    writer.uint(target->durable);
    target->expiry_policy ? writer.symbol(*target->expiry_policy) : writer.null();
    writer.uint(target->timeout);
    writer.boolean(target->dynamic);
    writer.null();  // dynamic-node-properties
    symbols_or_null(writer, target->capabilities);
}

void ushort(Writer& writer, std::uint16_t value) {
    writer.byte(0x60);
    writer.number(value, 2);
}

void write(Writer& writer, const Open& open) {
    const Fields fields(writer, kCodeOpen, 10);
    writer.text(open.container_id);
    open.hostname.empty() ? writer.null() : writer.text(open.hostname);
    writer.uint(open.max_frame_size);
    ushort(writer, open.channel_max);
    uint_or_null(writer, open.idle_timeout_ms);
    nulls(writer, 4);  // locales, capabilities
    map_or_null(writer, open.properties);
}

void write(Writer& writer, const Begin& begin) {
    const Fields fields(writer, kCodeBegin, 8);
    begin.remote_channel ? ushort(writer, *begin.remote_channel) : writer.null();
    writer.uint(begin.next_outgoing_id);
    writer.uint(begin.incoming_window);
    writer.uint(begin.outgoing_window);
    writer.uint(begin.handle_max);
    nulls(writer, 2);  // capabilities
    map_or_null(writer, begin.properties);
}

void write(Writer& writer, const Attach& attach) {
    const Fields fields(writer, kCodeAttach, 14);
    writer.text(attach.name);
    writer.uint(attach.handle);
    writer.boolean(attach.receiver);
    writer.ubyte(static_cast<std::uint8_t>(attach.settle_mode));
    writer.ubyte(static_cast<std::uint8_t>(attach.confirm_mode));
    write_source(writer, attach.source);
    write_target(writer, attach.target);
    nulls(writer, 1);  // unsettled
    writer.boolean(false);
    uint_or_null(writer, attach.initial_delivery_count);
    attach.max_message_size == 0 ? writer.null() : writer.ulong(attach.max_message_size);
    nulls(writer, 2);  // capabilities
    map_or_null(writer, attach.properties);
}

void write(Writer& writer, const Flow& flow) {
    const Fields fields(writer, kCodeFlow, 11);
    uint_or_null(writer, flow.next_incoming_id);
    writer.uint(flow.incoming_window);
    writer.uint(flow.next_outgoing_id);
    writer.uint(flow.outgoing_window);
    uint_or_null(writer, flow.handle);
    uint_or_null(writer, flow.delivery_count);
    uint_or_null(writer, flow.link_credit);
    uint_or_null(writer, flow.available);
    writer.boolean(flow.drain);
    writer.boolean(flow.echo);
    writer.null();  // properties
}

std::size_t write(Writer& writer, const Transfer& transfer) {
    const Fields fields(writer, kCodeTransfer, 11);
    writer.uint(transfer.handle);
    uint_or_null(writer, transfer.delivery_id);
    transfer.delivery_tag ? writer.binary(*transfer.delivery_tag) : writer.null();
    uint_or_null(writer, transfer.message_format);
    transfer.settled ? writer.boolean(*transfer.settled) : writer.null();
    const std::size_t more = writer.position();
    writer.boolean(transfer.more);
    writer.null();  // rcv-settle-mode
    append_state(writer, transfer.state);
    writer.boolean(false);  // resume
    writer.boolean(transfer.aborted);
    writer.boolean(false);  // batchable
    return more;
}

void write(Writer& writer, const Disposition& disposition) {
    const Fields fields(writer, kCodeDisposition, 6);
    writer.boolean(disposition.receiver);
    writer.uint(disposition.first);
    writer.uint(disposition.last);
    writer.boolean(disposition.settled);
    append_state(writer, disposition.state);
    writer.boolean(false);  // batchable
}

void write(Writer& writer, const Detach& detach) {
    const Fields fields(writer, kCodeDetach, 3);
    writer.uint(detach.handle);
    writer.boolean(detach.closed);
    error_or_null(writer, detach.error);
}

void write(Writer& writer, const End& end) {
    const Fields fields(writer, kCodeEnd, 1);
    error_or_null(writer, end.error);
}

void write(Writer& writer, const Close& close) {
    const Fields fields(writer, kCodeClose, 1);
    error_or_null(writer, close.error);
}

void write(Writer& writer, const SaslMechanisms& mechanisms) {
    const Fields fields(writer, kCodeMechanisms, 1);
    symbols_or_null(writer, mechanisms.names);
}

void write(Writer& writer, const SaslInit& init) {
    const Fields fields(writer, kCodeInit, 3);
    writer.symbol(init.mechanism);
    writer.binary(init.response);
    init.hostname.empty() ? writer.null() : writer.text(init.hostname);
}

void write(Writer& writer, const SaslChallenge& challenge) {
    const Fields fields(writer, kCodeChallenge, 1);
    writer.binary(challenge.bytes);
}

void write(Writer& writer, const SaslResponse& response) {
    const Fields fields(writer, kCodeResponse, 1);
    writer.binary(response.bytes);
}

void write(Writer& writer, const SaslOutcome& outcome) {
    const Fields fields(writer, kCodeOutcome, 2);
    writer.ubyte(outcome.code);
    writer.null();
}

}  // namespace

void append_state(Writer& writer, const DeliveryState& state) {
    if (const auto* received = std::get_if<Received>(&state)) {
        const Fields fields(writer, 0x23, 2);
        writer.uint(received->section);
        writer.ulong(received->offset);
    } else if (std::holds_alternative<Accepted>(state)) {
        writer.descriptor(0x24);
        writer.empty_list();
    } else if (const auto* rejected = std::get_if<Rejected>(&state)) {
        const Fields fields(writer, 0x25, 1);
        error_or_null(writer, rejected->error);
    } else if (std::holds_alternative<Released>(state)) {
        writer.descriptor(0x26);
        writer.empty_list();
    } else if (const auto* modified = std::get_if<Modified>(&state)) {
        const Fields fields(writer, 0x27, 3);
        writer.boolean(modified->delivery_failed);
        writer.boolean(modified->undeliverable_here);
        map_or_null(writer, modified->annotations);
    } else {
        writer.null();
    }
}

void append(std::string& out, const Performative& performative) {
    Writer writer(out);
    std::visit([&](const auto& one) { write(writer, one); }, performative);
}

void append(std::string& out, const Flow& flow) {
    Writer writer(out);
    write(writer, flow);
}

void append(std::string& out, const Disposition& disposition) {
    Writer writer(out);
    write(writer, disposition);
}

std::size_t append(std::string& out, const Transfer& transfer) {
    Writer writer(out);
    return write(writer, transfer);
}

}  // namespace millrace::amqp

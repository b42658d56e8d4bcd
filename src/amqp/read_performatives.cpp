#include "amqp/performatives.hpp"

#include <limits>

namespace millrace::amqp {

namespace {

/// The items of one described list, in order; items beyond its end read as null.
class FieldReader {
  public:
    explicit FieldReader(Reader& reader) : reader_(reader), items_(reader.list()), left_(items_.count) {}

    template <class T>
    std::optional<T> number() {
        if (!next()) return std::nullopt;
        const auto value = reader_.unsigned_number();
        if (!value) return std::nullopt;
        if (*value > std::numeric_limits<T>::max())
            return reader_.fail("a number is too large"), std::nullopt;
        return static_cast<T>(*value);
    }
    bool flag() { return next() && reader_.boolean().value_or(false); }
    std::optional<bool> maybe_flag() { return next() ? reader_.boolean() : std::nullopt; }
    std::optional<std::string> text() {
        if (!next()) return std::nullopt;
        const auto value = reader_.text();
        return value ? std::optional<std::string>(*value) : std::nullopt;
    }
    std::optional<std::string> binary() {
        if (!next()) return std::nullopt;
        const auto value = reader_.binary();
        return value ? std::optional<std::string>(*value) : std::nullopt;
    }
    Map map() {
        if (!next() || reader_.null()) return {};
        Value value = reader_.value();
        if (auto* map = std::get_if<Map>(&value)) return std::move(*map);
        reader_.fail("a map was expected");
        return {};
    }
    std::vector<std::string> symbols();
    std::optional<Condition> error();
    std::optional<Source> source();
    std::optional<Target> target();
    DeliveryState state() { return next() ? read_state(reader_) : DeliveryState(); }
    void pass(int fields) {
        for (int i = 0; i < fields && next(); ++i) reader_.skip();
    }
    void end() { reader_.leave(items_); }
    /// True if another item is there; it is read next.
    bool next() {
        if (left_ == 0 || reader_.failed()) return false;
        left_ -= 1;
        return true;
    }

  private:
    Reader& reader_;
    Reader::Items items_;
    std::uint32_t left_;
};

std::vector<std::string> FieldReader::symbols() {
    std::vector<std::string> names;
    if (!next() || reader_.null()) return names;
    const Value value = reader_.value();
    if (const auto name = text_of(&value)) names.emplace_back(*name);
    if (const auto* array = value.as<Array>()) {
        for (const Value& item : array->items) names.emplace_back(text_of(&item).value_or(""));
    }
    return names;
}

std::optional<Condition> FieldReader::error() {
    if (!next() || reader_.null()) return std::nullopt;
    if (reader_.descriptor() != 0x1d) return reader_.fail("an error was expected"), std::nullopt;
    FieldReader fields(reader_);
    Condition error;
    error.name = fields.text().value_or("");
    error.description = fields.text().value_or("");
    error.info = fields.map();
    fields.end();
    return error;
}

std::optional<Source> FieldReader::source() {
    if (!next() || reader_.null()) return std::nullopt;
    if (reader_.descriptor() != 0x28) return reader_.fail("a source was expected"), std::nullopt;
    FieldReader fields(reader_);
    Source source;
    source.address = fields.text();
    source.durable = fields.number<std::uint32_t>().value_or(0);
    source.expiry_policy = fields.text();
    source.timeout = fields.number<std::uint32_t>().value_or(0);
    source.dynamic = fields.flag();
    fields.pass(2);
    source.filter = fields.map();
    fields.pass(2);
    source.capabilities = fields.symbols();
    fields.end();
    return source;
}

std::optional<Target> FieldReader::target() {
    if (!next() || reader_.null()) return std::nullopt;
    Target target;
    const std::uint64_t code = reader_.descriptor();
    FieldReader fields(reader_);
    if (code == 0x30) {
        target.coordinator = true;
    } else if (code == 0x29) {
        target.address = fields.text();
        target.durable = fields.number<std::uint32_t>().value_or(0);
        target.expiry_policy = fields.text();
        target.timeout = fields.number<std::uint32_t>().value_or(0);
        target.dynamic = fields.flag();
        fields.pass(1);
    } else {
        return reader_.fail("a target was expected"), std::nullopt;
    }
    target.capabilities = fields.symbols();
    fields.end();
    return target;
}

Open read_open(FieldReader& fields) {
    Open open;
    open.container_id = fields.text().value_or("");
    open.hostname = fields.text().value_or("");
    open.max_frame_size = fields.number<std::uint32_t>().value_or(UINT32_MAX);
    open.channel_max = fields.number<std::uint16_t>().value_or(UINT16_MAX);
    open.idle_timeout_ms = fields.number<std::uint32_t>();
    fields.pass(4);
    open.properties = fields.map();
    return open;
}

Begin read_begin(FieldReader& fields) {
    Begin begin;
    begin.remote_channel = fields.number<std::uint16_t>();
    begin.next_outgoing_id = fields.number<std::uint32_t>().value_or(0);
    begin.incoming_window = fields.number<std::uint32_t>().value_or(0);
    begin.outgoing_window = fields.number<std::uint32_t>().value_or(0);
    begin.handle_max = fields.number<std::uint32_t>().value_or(UINT32_MAX);
    fields.pass(2);
    begin.properties = fields.map();
    return begin;
}

Attach read_attach(FieldReader& fields) {
    Attach attach;
    attach.name = fields.text().value_or("");
    attach.handle = fields.number<std::uint32_t>().value_or(0);
    attach.receiver = fields.flag();
    const unsigned settle = fields.number<std::uint8_t>().value_or(2);
    attach.settle_mode = settle > 1 ? SettleMode::mixed : static_cast<SettleMode>(settle);
    attach.confirm_mode =
        fields.number<std::uint8_t>().value_or(0) == 1 ? ConfirmMode::second : ConfirmMode::first;
    attach.source = fields.source();
    attach.target = fields.target();
    fields.pass(2);  // unsettled deliveries are not resumed: each is delivered anew or its lock runs out
    attach.initial_delivery_count = fields.number<std::uint32_t>();
    attach.max_message_size = fields.number<std::uint64_t>().value_or(0);
    fields.pass(2);
    attach.properties = fields.map();
    return attach;
}

Flow read_flow(FieldReader& fields) {
    Flow flow;
    flow.next_incoming_id = fields.number<std::uint32_t>();
    flow.incoming_window = fields.number<std::uint32_t>().value_or(0);
    flow.next_outgoing_id = fields.number<std::uint32_t>().value_or(0);
    flow.outgoing_window = fields.number<std::uint32_t>().value_or(0);
    flow.handle = fields.number<std::uint32_t>();
    flow.delivery_count = fields.number<std::uint32_t>();
    flow.link_credit = fields.number<std::uint32_t>();
    flow.available = fields.number<std::uint32_t>();
    flow.drain = fields.flag();
    flow.echo = fields.flag();
    return flow;
}

Transfer read_transfer(FieldReader& fields) {
    Transfer transfer;
    transfer.handle = fields.number<std::uint32_t>().value_or(0);
    transfer.delivery_id = fields.number<std::uint32_t>();
    transfer.delivery_tag = fields.binary();
    transfer.message_format = fields.number<std::uint32_t>();
    transfer.settled = fields.maybe_flag();
    transfer.more = fields.flag();
    fields.pass(1);
    transfer.state = fields.state();
    fields.pass(1);
    transfer.aborted = fields.flag();
    return transfer;
}

Disposition read_disposition(FieldReader& fields) {
    Disposition disposition;
    disposition.receiver = fields.flag();
    disposition.first = fields.number<std::uint32_t>().value_or(0);
    disposition.last = fields.number<std::uint32_t>().value_or(disposition.first);
    disposition.settled = fields.flag();
    disposition.state = fields.state();
    return disposition;
}

Detach read_detach(FieldReader& fields) {
    Detach detach;
    detach.handle = fields.number<std::uint32_t>().value_or(0);
    detach.closed = fields.flag();
    detach.error = fields.error();
    return detach;
}

SaslInit read_init(FieldReader& fields) {
    SaslInit init;
    init.mechanism = fields.text().value_or("");
    init.response = fields.binary().value_or("");
    init.hostname = fields.text().value_or("");
    return init;
}

SaslOutcome read_outcome(Reader& reader, FieldReader& fields) {
    const auto code = fields.number<std::uint8_t>();
    if (!code) reader.fail("a SASL outcome does not say which");
    return {code.value_or(1)};
}

Performative read_fields(std::uint64_t code, Reader& reader, FieldReader& fields) {
    switch (code) {
        case kCodeOpen: return read_open(fields);
        case kCodeBegin: return read_begin(fields);
        case kCodeAttach: return read_attach(fields);
        case kCodeFlow: return read_flow(fields);
        case kCodeTransfer: return read_transfer(fields);
        case kCodeDisposition: return read_disposition(fields);
        case kCodeDetach: return read_detach(fields);
        case kCodeEnd: return End{fields.error()};
        case kCodeClose: return Close{fields.error()};
        case kCodeMechanisms: return SaslMechanisms{fields.symbols()};
        case kCodeInit: return read_init(fields);
        case kCodeChallenge: return SaslChallenge{fields.binary().value_or("")};
        case kCodeResponse: return SaslResponse{fields.binary().value_or("")};
        case kCodeOutcome: return read_outcome(reader, fields);
        default: reader.fail("a frame holds an unknown performative"); return Close{};
    }
}

}  // namespace

DeliveryState read_state(Reader& reader) {
    if (reader.null()) return {};
    const std::uint64_t code = reader.descriptor();
    if (code < 0x23 || code > 0x27) {
        reader.skip();
        return OtherState{code};
    }
    FieldReader fields(reader);
    DeliveryState state;
    switch (code) {
        case 0x23: {
            const auto section = fields.number<std::uint32_t>().value_or(0);
            state = Received{section, fields.number<std::uint64_t>().value_or(0)};
            break;
        }
        case 0x24: state = Accepted{}; break;
        case 0x25: state = Rejected{fields.error()}; break;
        case 0x26: state = Released{}; break;
        case 0x27: {
            Modified modified;
            modified.delivery_failed = fields.flag();
            modified.undeliverable_here = fields.flag();
            modified.annotations = fields.map();
            state = std::move(modified);
            break;
        }
        default: break;
    }
    fields.end();
    return state;
}

Performative read_performative(Reader& reader) {
    const std::uint64_t code = reader.descriptor();
    FieldReader fields(reader);
    Performative read = read_fields(code, reader, fields);
    fields.end();
    return read;
}

}  // namespace millrace::amqp

import Addressing
import CCares
import Glibc

/// Reads the messages of name servers, by c-ares. They are not to be trusted: every number in them is bounded.
enum AnswerReading {
    /// More A records than this do not go into a message of 65,535 bytes.
    private static let mostInMessage = 4096

    /// A part of an answer, and how many records of it were left out.
    typealias Reading<Record: Sendable & Equatable> = (part: NameAnswer.Part<Record>, leftOut: Int)

    static func v4(_ message: UnsafePointer<UInt8>?, _ length: Int32) -> Reading<IPAddress> {
        var found = [ares_addrttl](repeating: ares_addrttl(), count: mostInMessage)
        var count = Int32(mostInMessage)
        guard let message else { return (.nothing(.noRecords), 0) }
        let status = ares_parse_a_reply(message, length, nil, &found, &count)
        return addresses(
            status,
            found.prefix(status == ARES_SUCCESS ? Int(max(count, 0)) : 0).map {
                (IPAddress(v4: UInt32(bigEndian: $0.ipaddr.s_addr)), $0.ttl)
            })
    }

    static func v6(_ message: UnsafePointer<UInt8>?, _ length: Int32) -> Reading<IPAddress> {
        var found = [ares_addr6ttl](repeating: ares_addr6ttl(), count: mostInMessage)
        var count = Int32(mostInMessage)
        guard let message else { return (.nothing(.noRecords), 0) }
        let status = ares_parse_aaaa_reply(message, length, nil, &found, &count)
        return addresses(
            status,
            found.prefix(status == ARES_SUCCESS ? Int(max(count, 0)) : 0).map { record in
                withUnsafeBytes(of: record.ip6addr) { bytes in
                    (
                        IPAddress(
                            v6High: UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self)),
                            low: UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
                        ).unmapped, record.ttl
                    )
                }
            })
    }

    static func services(_ message: UnsafePointer<UInt8>?, _ length: Int32) -> Reading<ServiceRecord> {
        guard let message else { return (.nothing(.noRecords), 0) }
        var list: UnsafeMutablePointer<ares_srv_reply>?
        let status = ares_parse_srv_reply(message, length, &list)
        defer { if let list { ares_free_data(list) } }
        if let absence: NameAnswer.Part<ServiceRecord> = absence(status) { return (absence, 0) }
        var records: [ServiceRecord] = []
        var unusable = 0
        var next = list
        while let entry = next?.pointee {
            next = entry.next
            // A target of "." says that the service is decidedly not there (RFC 2782): it is none that could be used.
            let text = entry.host.map { String(cString: $0) } ?? ""
            // The name is whole, whatever it looks like.
            if let target = HostName(text.hasSuffix(".") ? text : text + "."), entry.port != 0 {
                records.append(
                    ServiceRecord(
                        target: target, port: entry.port, priority: entry.priority, weight: entry.weight))
            } else {
                unusable += 1
            }
        }
        let ttl = limpet_srv_ttl(message, length)
        return part(records, ttl: UInt32(clamping: ttl), unusable: unusable)
    }

    private static func addresses(_ status: Int32, _ found: [(IPAddress, Int32)]) -> Reading<IPAddress> {
        if let absence: NameAnswer.Part<IPAddress> = absence(status) { return (absence, 0) }
        // None is a server's address: whoever answers so has nothing to say, or means harm. One of IPv6 that is good on one
        // link alone cannot be connected to, as no answer says on which.
        let usable = found.filter { address, _ in
            !address.isUnspecified && !address.isMulticast && !(address.family == .v6 && address.isLinkLocal)
        }
        let ttl = usable.map(\.1).min() ?? 0
        return part(usable.map(\.0), ttl: UInt32(clamping: ttl), unusable: found.count - usable.count)
    }

    private static func part<Record: Hashable & Comparable & Sendable>(
        _ records: [Record], ttl: UInt32, unusable: Int
    ) -> Reading<Record> {
        guard !records.isEmpty else { return (.nothing(.noRecords), unusable) }
        let tidy = NameAnswer.tidy(records)
        return (.found(tidy.records, ttl: ttl), tidy.leftOut + unusable)
    }

    /// What a status of c-ares says; nil: there is something to be read.
    static func absence<Record>(_ status: Int32) -> NameAnswer.Part<Record>? {
        switch status {
        case Int32(ARES_SUCCESS): nil
        case Int32(ARES_ENOTFOUND): .nothing(.noName)
        case Int32(ARES_ENODATA): .nothing(.noRecords)
        default: .failed(sentence(status))
        }
    }

    private static func sentence(_ status: Int32) -> String {
        switch status {
        case Int32(ARES_ETIMEOUT), Int32(ARES_ECANCELLED), Int32(ARES_EDESTRUCTION): "no name server answered in time"
        case Int32(ARES_ECONNREFUSED): "no name server could be reached, or would answer"
        case Int32(ARES_ESERVFAIL): "the name server could not find out (SERVFAIL)"
        case Int32(ARES_EREFUSED): "the name server refused to answer"
        case Int32(ARES_ENOTIMP), Int32(ARES_EFORMERR): "the name server did not understand the question"
        case Int32(ARES_EBADRESP): "the answer of the name server is damaged"
        case Int32(ARES_EBADNAME): "it is not a name that can be asked for"
        case Int32(ARES_ENOMEM): "there is no memory for the answer"
        default: "c-ares says: \(String(cString: ares_strerror(status)))"
        }
    }
}

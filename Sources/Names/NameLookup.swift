import Addressing
import CCares
import Glibc
import Linux

/// One question on its way, from the hosts file over the search list to the last server. Belongs to the resolver's thread.
///
/// It has a channel of c-ares to itself. So it goes by what resolv.conf says when it begins, its sockets have source ports
/// of their own, which is what makes an answer hard to forge, and whatever one server does to it harms no other question.
final class NameLookup {
    /// For whoever waits for a socket: watched for reading and writing; neither: not any more, it is about to be closed.
    typealias Watch = (_ descriptor: Int32, _ lookup: NameLookup, _ reading: Bool, _ writing: Bool) -> Void

    let question: NameQuestion
    /// ns of ``Clock``: an end comes then, whatever has been heard.
    let deadline: UInt64
    private(set) var answer: NameAnswer?
    private var channel: ares_channel?
    private let watch: Watch
    private var candidates: ArraySlice<String> = []
    private var underWay: [Query] = []
    private var parts = NameAnswer()

    /// A record type that is asked for, as c-ares's callback knows it. It lives as long as the lookup.
    private final class Query {
        unowned let lookup: NameLookup
        let type: Int32
        var isDone = false

        init(_ lookup: NameLookup, _ type: Int32) {
            self.lookup = lookup
            self.type = type
        }
    }

    /// - Parameter now: ns of ``Clock``.
    init(_ question: NameQuestion, _ settings: ResolverSettings, now: UInt64, watch: @escaping Watch) {
        self.question = question
        self.watch = watch
        deadline = now + settings.timeout.nanoseconds
        open(settings)
        if channel != nil { begin() }
    }

    /// Its sockets are closed with it, and are told to `watch` before.
    func close() {
        guard let channel else { return }
        self.channel = nil
        ares_destroy(channel)
        underWay = []
    }

    /// Something can be done with one of its sockets.
    func ready(_ descriptor: Int32, reading: Bool, writing: Bool) {
        guard let channel else { return }
        let bad = ares_socket_t(-1)
        ares_process_fd(channel, reading ? descriptor : bad, writing ? descriptor : bad)
        advance()
    }

    /// Time has passed.
    func tick(now: UInt64) {
        guard let channel, answer == nil else { return }
        if now >= deadline {
            // Every query that is under way is told of it before this returns.
            candidates = []
            ares_cancel(channel)
        } else {
            ares_process_fd(channel, ares_socket_t(-1), ares_socket_t(-1))
        }
        advance()
    }

    /// Milliseconds until ``tick(now:)`` is due.
    func wait(now: UInt64) -> Int32 {
        guard let channel, answer == nil else { return 0 }
        let left = deadline > now ? (deadline - now) / 1_000_000 + 1 : 0
        var own = timeval()
        guard ares_timeout(channel, nil, &own) != nil else { return Int32(clamping: left) }
        let milliseconds = UInt64(max(own.tv_sec, 0)) * 1000 + UInt64(max(own.tv_usec, 0)) / 1000 + 1
        return Int32(clamping: min(left, milliseconds))
    }

    // MARK: Parts

    private func open(_ settings: ResolverSettings) {
        var options = ares_options()
        // The last of the repetitions ends before the deadline: each waits twice as long as the one before.
        options.timeout = Int32(clamping: max(settings.timeout.nanoseconds / 1_000_000 / 8, 50))
        options.tries = Int32(ResolverSettings.tries)
        options.sock_state_cb_data = Unmanaged.passUnretained(self).toOpaque()
        options.sock_state_cb = { data, descriptor, reading, writing in
            guard let data else { return }
            let lookup = Unmanaged<NameLookup>.fromOpaque(data).takeUnretainedValue()
            lookup.watch(descriptor, lookup, reading != 0, writing != 0)
        }
        let mask = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB
        var made: ares_channel?
        var status = ares_init_options(&made, &options, Int32(mask))
        if status == ARES_SUCCESS, let made, !settings.servers.isEmpty {
            status = ares_set_servers_ports_csv(made, settings.list)
            if status != ARES_SUCCESS { ares_destroy(made) }
        }
        guard status == ARES_SUCCESS, let made else {
            answer = NameAnswer(failed: "it cannot be asked for: \(String(cString: ares_strerror(status)))")
            return
        }
        channel = made
    }

    private func begin() {
        if case .addresses(let host) = question, let known = fromHostsFile(host) {
            answer = known
            return
        }
        var saved = ares_options()
        var mask: Int32 = 0
        var domains: [String] = []
        var dots = 1
        if let channel, ares_save_options(channel, &saved, &mask) == ARES_SUCCESS {
            domains = (0..<Int(saved.ndomains)).compactMap { saved.domains?[$0].map { String(cString: $0) } }
            dots = Int(saved.ndots)
            ares_destroy_options(&saved)
        }
        // A service's name is always whole: _ws._tcp of some search domain is not what anybody means.
        if case .services(let name) = question {
            candidates = [name.text]
        } else {
            candidates = NameCandidates.of(question.name, domains: domains, dots: dots)[...]
        }
        advance()
    }

    /// What the file of hosts says counts for so long, in seconds: it is at hand, and people edit it.
    private static let hostsFileTTL: UInt32 = 5

    private func fromHostsFile(_ host: HostQuestion) -> NameAnswer? {
        let v4 = host.family.includes(.v4) ? addressesInHostsFile(host.name, AF_INET) : []
        let v6 = host.family.includes(.v6) ? addressesInHostsFile(host.name, AF_INET6) : []
        guard !v4.isEmpty || !v6.isEmpty else { return nil }
        var leftOut = 0
        func part(_ addresses: [IPAddress]) -> NameAnswer.Part<IPAddress> {
            let tidy = NameAnswer.tidy(addresses)
            leftOut += tidy.leftOut
            return addresses.isEmpty ? .nothing(.noRecords) : .found(tidy.records, ttl: NameLookup.hostsFileTTL)
        }
        let parts = (part(v4), part(v6))
        return NameAnswer(v4: parts.0, v6: parts.1, leftOut: leftOut)
    }

    private func addressesInHostsFile(_ name: HostName, _ family: Int32) -> [IPAddress] {
        var found: UnsafeMutablePointer<hostent>?
        guard let channel, ares_gethostbyname_file(channel, name.text, family, &found) == ARES_SUCCESS, let found
        else { return [] }
        defer { ares_free_hostent(found) }
        guard found.pointee.h_addrtype == family, var entry = found.pointee.h_addr_list else { return [] }
        var addresses: [IPAddress] = []
        while let bytes = entry.pointee {
            let raw = UnsafeRawPointer(bytes)
            if family == AF_INET {
                addresses.append(IPAddress(v4: UInt32(bigEndian: raw.loadUnaligned(as: UInt32.self))))
            } else {
                addresses.append(
                    IPAddress(
                        v6High: UInt64(bigEndian: raw.loadUnaligned(as: UInt64.self)),
                        low: UInt64(bigEndian: raw.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
                    ).unmapped)
            }
            entry += 1
        }
        return addresses
    }

    /// Goes on to the next candidate where the one before is not there, or ends.
    private func advance() {
        while answer == nil, underWay.allSatisfy(\.isDone) {
            let isLast = candidates.isEmpty
            if !underWay.isEmpty, isLast || !isNothing {
                answer = parts
                return
            }
            guard let candidate = candidates.popFirst() else { return }
            ask(candidate)
        }
    }

    /// Whether the servers are sure that there is nothing at all.
    private var isNothing: Bool {
        switch question {
        case .addresses: parts.v4.isNothing && parts.v6.isNothing
        case .services: parts.services.isNothing
        }
    }

    private func ask(_ candidate: String) {
        guard let channel else { return }
        parts = NameAnswer()
        let types =
            switch question {
            case .addresses(let host):
                (host.family.includes(.v4) ? [LIMPET_RECORD_A] : [])
                    + (host.family.includes(.v6) ? [LIMPET_RECORD_AAAA] : [])
            case .services: [LIMPET_RECORD_SRV]
            }
        underWay = types.map { Query(self, Int32($0)) }
        for query in underWay {
            // It may be answered before this returns.
            ares_query(
                channel, candidate, 1, query.type,
                { argument, status, _, message, length in
                    guard let argument else { return }
                    let query = Unmanaged<Query>.fromOpaque(argument).takeUnretainedValue()
                    query.lookup.take(query, status, message, length)
                }, Unmanaged.passUnretained(query).toOpaque())
        }
    }

    private func take(_ query: Query, _ status: Int32, _ message: UnsafeMutablePointer<UInt8>?, _ length: Int32) {
        query.isDone = true
        let message = message.map { UnsafePointer($0) }
        switch query.type {
        case Int32(LIMPET_RECORD_A):
            let reading = AnswerReading.absence(status).map { ($0, 0) } ?? AnswerReading.v4(message, length)
            parts.v4 = reading.0
            parts.leftOut += reading.1
        case Int32(LIMPET_RECORD_AAAA):
            let reading = AnswerReading.absence(status).map { ($0, 0) } ?? AnswerReading.v6(message, length)
            parts.v6 = reading.0
            parts.leftOut += reading.1
        default:
            let reading = AnswerReading.absence(status).map { ($0, 0) } ?? AnswerReading.services(message, length)
            parts.services = reading.0
            parts.leftOut += reading.1
        }
    }
}

extension NameAnswer.Part {
    var isNothing: Bool { if case .nothing = self { true } else { false } }
}

import Addressing
import Foundation
import Linux
import Synchronization
import Testing

@testable import Names

/// The resolver against servers that do what no server should.
@Suite("Resolver")
struct ResolverTests {
    private let name = HostName("ws1.example.net.")!

    /// One question to one server.
    private func ask(
        _ question: NameQuestion? = nil, timeout: Duration = .seconds(5), _ reply: @escaping LyingServer.Reply
    ) async throws -> NameAnswer {
        let server = try LyingServer(reply)
        defer { server.stop() }
        return try await ask(question, ResolverSettings(servers: [server.endpoint], timeout: timeout))
    }

    private func ask(_ question: NameQuestion?, _ settings: ResolverSettings) async throws -> NameAnswer {
        let resolver = try NameResolver()
        defer { resolver.stop() }
        return await withCheckedContinuation { continuation in
            resolver.resolve(question ?? .addresses(HostQuestion(name)), settings) {
                continuation.resume(returning: $0)
            }
        }
    }

    @Test("addresses of both families, sorted, each once, with the least TTL")
    func addresses() async throws {
        let answer = try await ask { question, _ in
            if question.type == 28 {
                return [question.answer([(nil, 28, 30, [0x20, 1, 0x0d, 0xb8] + Array(repeating: 0, count: 11) + [1])])]
            }
            return [
                question.answer([
                    (nil, 1, 60, [192, 0, 2, 9]), (nil, 1, 20, [192, 0, 2, 1]), (nil, 1, 60, [192, 0, 2, 9]),
                ])
            ]
        }
        #expect(
            answer.v4 == .found([IPAddress("192.0.2.1")!, IPAddress("192.0.2.9")!], ttl: 20))
        #expect(answer.v6 == .found([IPAddress("2001:db8::1")!], ttl: 30))
        #expect(answer.leftOut == 0)
    }

    @Test("what is not there is told from what nobody knows")
    func absence() async throws {
        let missing = try await ask { question, _ in [question.answer(code: 3)] }
        #expect(missing.v4 == .nothing(.noName))
        #expect(missing.v6 == .nothing(.noName))
        let empty = try await ask { question, _ in [question.answer()] }
        #expect(empty.v4 == .nothing(.noRecords))
        let broken = try await ask { question, _ in [question.answer(code: 2)] }
        #expect(broken.v4 == .failed("no name server could be reached, or would answer"))
        let refused = try await ask { question, _ in [question.answer(code: 5)] }
        #expect(refused.v4 == .failed("no name server could be reached, or would answer"))
    }

    @Test("one family alone may fail")
    func halves() async throws {
        let answer = try await ask(timeout: .seconds(1)) { question, _ in
            question.type == 28 ? [] : [question.addresses([0xc000_0201])]
        }
        #expect(answer.v4 == .found([IPAddress("192.0.2.1")!], ttl: 60))
        #expect(answer.v6 == .failed("no name server answered in time"))
    }

    @Test("whoever wants one family asks for no other", arguments: [NameFamily.ipv4, .ipv6])
    func family(family: NameFamily) async throws {
        let types = Mutex<Set<Int>>([])
        let answer = try await ask(.addresses(HostQuestion(name, family))) { question, _ in
            types.withLock { _ = $0.insert(question.type) }
            return question.type == 28
                ? [question.answer([(nil, 28, 30, [0x20, 1, 0x0d, 0xb8] + Array(repeating: 0, count: 11) + [1])])]
                : [question.addresses([0xc000_0201])]
        }
        #expect(types.withLock { $0 } == (family == .ipv4 ? [1] : [28]))
        #expect(answer.v4.records == (family == .ipv4 ? [IPAddress("192.0.2.1")!] : []))
        #expect(answer.v6.records == (family == .ipv6 ? [IPAddress("2001:db8::1")!] : []))
        // A name that has none of it is there all the same.
        let none = try await ask(.addresses(HostQuestion(name, family))) { question, _ in [question.answer()] }
        #expect(none.v4 == .nothing(.noRecords) && none.v6 == .nothing(.noRecords))
        let hosts = try await ask(.addresses(HostQuestion(HostName("localhost")!, .ipv4))) { question, _ in
            [question.answer(code: 3)]
        }
        #expect(hosts.v4.records == [IPAddress("127.0.0.1")!] && hosts.v6.records.isEmpty)
    }

    @Test("silence ends at the time-out, and a closed port at once")
    func silence() async throws {
        let answer = try await ask(timeout: .milliseconds(400)) { _, _ in [] }
        #expect(answer.v4 == .failed("no name server answered in time"))
        let server = try LyingServer { _, _ in [] }
        let closed = server.endpoint
        server.stop()
        let none = try await ask(nil, ResolverSettings(servers: [closed], timeout: .milliseconds(400)))
        guard case .failed = none.v4 else {
            Issue.record("\(none)")
            return
        }
    }

    @Test("a server that answers nothing is passed over for one that does")
    func secondServer() async throws {
        let silent = try LyingServer { _, _ in [] }
        let well = try LyingServer { question, _ in [question.addresses([0xc000_0201])] }
        defer {
            silent.stop()
            well.stop()
        }
        let answer = try await ask(
            nil, ResolverSettings(servers: [silent.endpoint, well.endpoint], timeout: .seconds(5)))
        #expect(answer.v4.records == [IPAddress("192.0.2.1")!])
    }

    @Test("garbage, foreign ids and other questions are not believed")
    func lies() async throws {
        let answer = try await ask { question, _ in
            guard question.type == 1 else { return [question.answer()] }
            let other = LyingServer.Question(
                id: question.id, name: "evil", type: 1, section: encoded("evil.example") + [0, 1, 0, 1])
            return [
                question.id, Array(repeating: 0xff, count: 300), [],
                question.answer(id: [question.id[0] ^ 1, question.id[1]], [(nil, 1, 60, [203, 0, 113, 1])]),
                other.addresses([0xcb00_7102]), question.addresses([0xc000_0201]),
            ]
        }
        #expect(answer.v4 == .found([IPAddress("192.0.2.1")!], ttl: 60))
    }

    @Test("a damaged answer is an answer that says nothing")
    func damaged() async throws {
        let answer = try await ask(timeout: .seconds(1)) { question, _ in
            var message = question.addresses([0xc000_0201, 0xc000_0202])
            message.removeLast(3)
            return [message]
        }
        guard case .failed = answer.v4 else {
            Issue.record("\(answer)")
            return
        }
    }

    @Test("names that point at each other come to an end")
    func loops() async throws {
        let answer = try await ask { question, _ in
            [
                question.answer([
                    (nil, 5, 60, encoded("b.example.net")), (encoded("b.example.net"), 5, 60, [0xc0, 12]),
                    ([0xc0, 45], 5, 60, [0xc0, 45]),
                ])
            ]
        }
        #expect(answer.v4.records.isEmpty)
        // A name whose compression points at itself.
        let own = try await ask(timeout: .seconds(1)) { question, _ in
            let here = UInt8(12 + question.section.count)
            return [question.answer([([0xc0, here], 1, 60, [192, 0, 2, 1])])]
        }
        #expect(own.v4.records.isEmpty)
    }

    @Test("a CNAME is followed, and its TTL counts too")
    func alias() async throws {
        let answer = try await ask { question, _ in
            guard question.type == 1 else { return [question.answer()] }
            return [
                question.answer([
                    (nil, 5, 7, encoded("b.example.net")), (encoded("b.example.net"), 1, 60, [192, 0, 2, 1]),
                ])
            ]
        }
        #expect(answer.v4 == .found([IPAddress("192.0.2.1")!], ttl: 7))
    }

    @Test("addresses that no server can have are left out")
    func impossible() async throws {
        let answer = try await ask { question, _ in
            question.type == 1
                ? [question.addresses([0, 0xe000_0001, 0xc000_0201])]
                : [
                    question.answer([
                        (nil, 28, 9, Array(repeating: 0, count: 16)),
                        (nil, 28, 9, [0xfe, 0x80] + Array(repeating: 0, count: 13) + [1]),
                    ])
                ]
        }
        #expect(answer.v4 == .found([IPAddress("192.0.2.1")!], ttl: 60))
        #expect(answer.v6 == .nothing(.noRecords))
        #expect(answer.leftOut == 4)
    }

    @Test("what does not go into a datagram comes by TCP, and of 4,000 addresses 1,000 stay")
    func truncated() async throws {
        let answer = try await ask { question, isTCP in
            guard question.type == 1 else { return [question.answer()] }
            guard isTCP else { return [question.answer(isTruncated: true)] }
            return [question.addresses((0..<4000).map { 0x0a00_0000 + $0 }.shuffled())]
        }
        #expect(answer.v4 == .found((0..<1000).map { IPAddress(v4: 0x0a00_0000 + $0) }, ttl: 60))
        #expect(answer.leftOut == 3000)
    }

    @Test("SRV records, in order, with the least TTL")
    func services() async throws {
        let service = HostName("_ws._tcp.example.net")!
        let answer = try await ask(.services(service)) { question, _ in
            func data(_ priority: UInt8, _ weight: UInt8, _ port: UInt8, _ target: String) -> [UInt8] {
                [0, priority, 0, weight, 31, port] + encoded(target)
            }
            return [
                question.answer([
                    (nil, 33, 60, data(1, 0, 1, "b.example.net")), (nil, 33, 9, data(0, 5, 2, "A.example.net")),
                    (nil, 33, 60, data(0, 5, 1, "a.example.net")), (nil, 33, 60, data(0, 5, 1, "a b.example.net")),
                    (nil, 33, 60, [0, 0, 0, 0, 0, 0, 0]),
                ])
            ]
        }
        func record(_ target: String, _ port: UInt16, _ priority: UInt16, _ weight: UInt16) -> ServiceRecord {
            ServiceRecord(target: HostName(target + ".")!, port: port, priority: priority, weight: weight)
        }
        #expect(
            answer.services
                == .found(
                    [
                        record("a.example.net", 7937, 0, 5), record("a.example.net", 7938, 0, 5),
                        record("b.example.net", 7937, 1, 0),
                    ], ttl: 9))
        #expect(answer.leftOut == 2)
    }

    @Test("a service that is decidedly not there is no service")
    func noService() async throws {
        let answer = try await ask(.services(HostName("_ws._tcp.example.net")!)) { question, _ in
            [question.answer([(nil, 33, 60, [0, 0, 0, 0, 0, 0, 0])])]
        }
        #expect(answer.services == .nothing(.noRecords))
    }

    @Test("the hosts file is looked into first")
    func hostsFile() async throws {
        let asked = Atomic(0)
        let answer = try await ask(.addresses(HostQuestion(HostName("localhost")!))) { question, _ in
            asked.add(1, ordering: .relaxed)
            return [question.answer(code: 3)]
        }
        #expect(answer.v4.records == [IPAddress("127.0.0.1")!] || answer.v6.records == [IPAddress("::1")!])
        #expect(asked.load(ordering: .relaxed) == 0)
    }

    @Test("a hundred questions at once are all answered, whatever comes of each")
    func many() async throws {
        let server = try LyingServer { question, _ in
            switch question.name.utf8.count % 3 {
            case 0: [question.answer(code: 3)]
            case 1: [question.addresses([0xc000_0201])]
            default: []
            }
        }
        defer { server.stop() }
        let settings = ResolverSettings(servers: [server.endpoint], timeout: .milliseconds(300))
        let resolver = try NameResolver()
        defer { resolver.stop() }
        await withTaskGroup(of: Void.self) { group in
            for length in 1...100 {
                group.addTask {
                    let text = String(repeating: "a", count: length % 60 + 1) + ".n\(length).example.net."
                    let bare = text.utf8.count - 1
                    let answer = await withCheckedContinuation { continuation in
                        resolver.resolve(.addresses(HostQuestion(HostName(text)!)), settings) {
                            continuation.resume(returning: $0)
                        }
                    }
                    switch bare % 3 {
                    case 0: #expect(answer.v4 == .nothing(.noName))
                    case 1: #expect(answer.v4.records == [IPAddress("192.0.2.1")!])
                    default: #expect(answer.v4 == .failed("no name server answered in time"))
                    }
                }
            }
        }
    }

    /// A server that says nothing about `dead…`; what it says about others.
    private func halfDead() throws -> LyingServer {
        try LyingServer { question, _ in
            if question.name.hasPrefix("dead") { return [] }
            return question.type == 1 ? [question.addresses([0xc000_0201])] : [question.answer()]
        }
    }

    private func dead(_ count: Int) -> [NameQuestion] {
        (0..<count).map { .addresses(HostQuestion(HostName("dead\($0).example.net.")!)) }
    }

    @Test(
        "a name that is well is answered beside a hundred that are not",
        arguments: [
            (NameResolver.Prospect.failing, NameResolver.Prospect.known), (.failing, .new), (.new, .known),
            (.new, .new), (.known, .known), (.known, .new),
            (.failing, .failing),
        ])
    func healthyAmongDead(_ dead: NameResolver.Prospect, _ healthy: NameResolver.Prospect) async throws {
        let server = try halfDead()
        defer { server.stop() }
        // Each holds its place for so long that the hundred of them take hours, and none ends before this test does.
        let settings = ResolverSettings(servers: [server.endpoint], timeout: .seconds(3600))
        let resolver = try NameResolver()
        defer { resolver.stop() }
        let ended = Locked(0)
        for question in self.dead(100) { resolver.resolve(question, settings, dead) { _ in ended.with { $0 += 1 } } }
        let answer = await withCheckedContinuation { continuation in
            resolver.resolve(.addresses(HostQuestion(name)), settings, healthy) { continuation.resume(returning: $0) }
        }
        #expect(answer.v4.records == [IPAddress("192.0.2.1")!])
        #expect(ended.with { $0 } == 0)
    }

    @Test("who makes way is asked again, and a slow server is heard")
    func slowIsHeard() async throws {
        let asked = Locked<[String: Int]>([:])
        let server = try LyingServer { question, _ in
            guard question.type == 1 else { return [question.answer()] }
            // It is asked a second time only after more than the patience there is.
            let times = asked.with { asked in
                asked[question.name, default: 0] += 1
                return asked[question.name]!
            }
            return times < 3 ? [] : [question.addresses([0xc000_0201])]
        }
        defer { server.stop() }
        let settings = ResolverSettings(servers: [server.endpoint], timeout: .seconds(6))
        let resolver = try NameResolver()
        defer { resolver.stop() }
        await withTaskGroup(of: Void.self) { group in
            for question in dead(20) {
                group.addTask {
                    let answer = await withCheckedContinuation { continuation in
                        resolver.resolve(question, settings) { continuation.resume(returning: $0) }
                    }
                    #expect(answer.v4.records == [IPAddress("192.0.2.1")!])
                }
            }
        }
    }

    @Test("what nobody waits for any more is not asked")
    func tooLate() async throws {
        let server = try halfDead()
        defer { server.stop() }
        let settings = ResolverSettings(servers: [server.endpoint], timeout: .seconds(1))
        let resolver = try NameResolver()
        defer { resolver.stop() }
        let failures = Locked<[String]>([])
        let latest = Clock.now() + 100_000_000
        for question in dead(40) {
            resolver.resolve(question, settings, .silent, latest: latest) { answer in
                if case .failed(let text) = answer.v4 { failures.with { $0.append(text) } }
            }
        }
        let last = await withCheckedContinuation { continuation in
            resolver.resolve(dead(41)[40], settings, .silent) { continuation.resume(returning: $0) }
        }
        #expect(last.v4 == .failed("no name server answered in time"))
        let texts = failures.with { $0 }
        #expect(texts.count == 40)
        #expect(texts.count { $0.hasPrefix("its turn did not come in time") } >= 36)
        #expect(Set(server.questions.map { $0.prefix { $0 != "." } }).count <= 5)
    }

    @Test("an end leaves no descriptor behind")
    func descriptors() async throws {
        let server = try LyingServer { question, _ in [question.addresses([0xc000_0201])] }
        defer { server.stop() }
        let before = server.questions.count
        for _ in 0..<20 { _ = try await ask(nil, ResolverSettings(servers: [server.endpoint])) }
        #expect(server.questions.count == before + 40)
        // Those of this test alone cannot be counted: others run beside it. A socket to this server can.
        let sockets = try String(contentsOfFile: "/proc/self/net/udp", encoding: .utf8)
        let port = String(server.endpoint.port, radix: 16, uppercase: true)
        #expect(!sockets.contains("0100007F:\(port) 01"))
    }
}

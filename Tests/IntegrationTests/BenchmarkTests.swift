import Foundation
import Testing

/// That `make bench` measures what it says: one short round beside whatever of HAProxy and nginx is installed. How fast
/// anything is, is not for a test to judge.
@Suite(
    "Benchmark", .serialized,
    .enabled(if: Bench.load != nil && Bench.python != nil, "LIMPET_LOAD and LIMPET_PYTHON are not set; make check does")
)
struct BenchmarkTests {
    @Test("Ping-pong of every proxy gives figures that can be true")
    func pingpong() throws {
        let bench = try Bench.run(only: "pingpong64x100")
        #expect(bench.outcome.status == 0, "\(bench.outcome)")
        #expect(bench.outcome.stdout.contains("ping-pong, 64 bytes, 100 connections"), "\(bench.outcome)")
        #expect(Set(bench.rounds.map(\.proxy)) == Set(Bench.proxies))
        for round in bench.rounds {
            let messages = try #require(round.answers?.first?.messages)
            #expect(messages >= 100, "each connection has had an answer: \(round)")
            let cpu = try #require(round.cpuSeconds)
            #expect(cpu.proxy > 0 && cpu.clients > 0 && cpu.servers > 0, "\(round)")
            // A round trip is some microseconds of work for whoever takes part in it, not nothing and not a second.
            let proxy = try #require(round.proxyNs)
            #expect(proxy > 100 && proxy < 1e9, "\(round)")
            let (p50, p99) = (try #require(round.p50Us), try #require(round.p99Us))
            #expect(p50 > 0 && p50 <= p99, "\(round)")
        }
    }

    @Test("Bulk either way, and connections that come and go", arguments: ["down", "up"])
    func bulk(_ direction: String) throws {
        let bench = try Bench.run(only: "bulk2,churn", proxies: "direct,limpetd", "--direction", direction)
        #expect(bench.outcome.status == 0, "\(bench.outcome)")
        #expect(bench.rounds.count == 4, "\(bench.outcome)")
        for round in bench.rounds {
            let answer = try #require(round.answers?.first)
            #expect((answer.bytes ?? answer.connections ?? 0) > 0, "\(round)")
        }
    }

    @Test("Idle connections cost something, and are all counted")
    func idle() throws {
        let bench = try Bench.run(only: "idle200,start", proxies: "direct,limpetd")
        #expect(bench.outcome.status == 0, "\(bench.outcome)")
        let limpetd = bench.rounds.filter { $0.proxy == "limpetd" }
        // Keeper and engine: one without the other would be a third of the truth.
        #expect(limpetd.contains { $0.processes == 2 }, "\(limpetd)")
        #expect(limpetd.contains { ($0.userBytes ?? 0) > 0 }, "\(limpetd)")
    }

    @Test("A proxy that does not start is said to be unmeasured, and the others are measured")
    func broken() throws {
        let bench = try Bench.run(only: "pingpong64x1", proxies: "direct,limpetd", limpetd: "/bin/false")
        #expect(bench.outcome.status == 1, "\(bench.outcome)")
        #expect(bench.outcome.stderr.contains("not measured: pingpong64x1, limpetd"), "\(bench.outcome)")
        #expect(bench.rounds.map(\.proxy) == ["direct"])
    }

    @Test("A workload that there is not is a usage error")
    func unknown() throws {
        let bench = try Bench.run(only: "pingpong")
        #expect(bench.outcome.status == 2, "\(bench.outcome)")
        #expect(bench.outcome.stderr.contains("'pingpong' is none of"), "\(bench.outcome)")
    }
}

/// One run of Benchmarks/bench.
private struct Bench {
    /// The load generator, from Benchmarks/load.
    static let load = ProcessInfo.processInfo.environment["LIMPET_LOAD"]
    static let python = ProcessInfo.processInfo.environment["LIMPET_PYTHON"]

    /// Those that can be measured here.
    static let proxies: [String] = {
        let isThere = { (name: String) in FileManager.default.isExecutableFile(atPath: "/usr/sbin/\(name)") }
        let hasStream = FileManager.default.fileExists(atPath: "/usr/lib/nginx/modules/ngx_stream_module.so")
        return ["direct", "limpetd"] + (isThere("haproxy") ? ["haproxy", "haproxy-auto", "haproxy-splice"] : [])
            + (isThere("nginx") && hasStream ? ["nginx"] : [])
    }()

    let outcome: Outcome
    let rounds: [Round]

    /// What was measured of one proxy; which figures there are depends on the workload.
    struct Round: Decodable {
        struct Answer: Decodable {
            let messages, bytes, connections: Int?
        }
        struct CPU: Decodable {
            let proxy, servers, clients: Double
        }
        let proxy: String
        let answers: [Answer]?
        let cpuSeconds: CPU?
        let p50Us, p99Us, proxyNs, userBytes: Double?
        let processes: Int?
    }

    static func run(
        only: String, proxies: String = proxies.joined(separator: ","), limpetd: String = Programs.limpetd,
        _ more: String...
    ) throws -> Bench {
        let script = URL(fileURLWithPath: #filePath)
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("Benchmarks/bench/bench.py").path
        let directory = try temporaryDirectory()
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let outcome = try IntegrationTests.run(
            [
                try #require(python), script, "--limpetd", limpetd, "--load", try #require(load), "--rounds", "1",
                "--seconds", "0.2", "--workers", "1", "--only", only, "--proxies", proxies,
                "--json", "\(directory)/bench.json",
            ] + more, within: .seconds(120))
        struct File: Decodable { let rounds: [Round] }
        let data = FileManager.default.contents(atPath: "\(directory)/bench.json")
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        let rounds = try data.map { try decoder.decode(File.self, from: $0).rounds } ?? []
        return Bench(outcome: outcome, rounds: rounds)
    }
}

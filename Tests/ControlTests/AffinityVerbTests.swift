import Control
import Foundation
import Testing

/// `limpetctl affinity`, and its routes.
@Suite struct AffinityVerbTests {
    private func ctl(_ daemon: TestDaemon, _ arguments: String...) throws -> (
        status: Int32, output: String, error: String
    ) {
        try run(LimpetctlTests.program, ["affinity"] + arguments, environment: ["LIMPET_CONTROL": daemon.path])
    }

    @Test func `What cannot be asked`() throws {
        try TestDaemon.run { (daemon) throws in
            #expect(try ctl(daemon, "nonsense").error.contains("is not an address such as"))
            #expect(try ctl(daemon, "--service", "chta").error.contains("(did you mean chat?)"))
            for words in [["--limit", "0"], ["--limit", "100001"], ["--force"], ["--clear", "--limit", "3"]] {
                let outcome = try run(
                    LimpetctlTests.program, ["affinity"] + words, environment: ["LIMPET_CONTROL": daemon.path])
                #expect(outcome.status == 2, "\(words)")
            }
            for (target, part) in [
                ("/v1/affinity?limit=0", "whole number from 1 to 10000"), ("/v1/affinity?adress=::1", "did you mean"),
                ("/v1/affinity?address=x", "is not an address"),
            ] {
                let response = try daemon.ask("GET", target)
                #expect(response.status == 400 || response.error["suggestion"] != nil, "\(target)")
                #expect("\(response.error)".contains(part) || response.error["suggestion"] != nil, "\(target)")
            }
        }
    }

    @Test func `All of them, and one`() throws {
        try TestDaemon.run { (daemon) throws in
            #expect(
                try ctl(daemon, "--plain").output
                    == "chat\t10.0.0.1\tws1\tws1\t2\t-\nchat\t10.0.0.2\tws2\tws1\t0\t12.500\n")
            #expect(try ctl(daemon, "--plain", "10.0.0.2").output == "chat\t10.0.0.2\tws2\tws1\t0\t12.500\n")
            #expect(try ctl(daemon, "--plain", "10.0.0.3").output == "")
            let table = try ctl(daemon, "--limit", "1").output
            #expect(table.hasPrefix("2 clients remembered, room for 65536; 5 came back, 1 had to move, 0 made room\n"))
            #expect(table.contains("1 of them:"))
        }
    }

    @Test func `Several are forgotten with force alone`() throws {
        try TestDaemon.run { (daemon) throws in
            let refused = try ctl(daemon, "--clear")
            #expect(refused.status == 8 && refused.error.contains("2 clients would be forgotten"))
            #expect(daemon.plane.with { $0.changes }.isEmpty)
            #expect(try ctl(daemon, "10.0.0.1", "--clear").output == "1 client forgotten\n")
            #expect(try ctl(daemon, "--clear", "--force", "--service", "chat").output == "2 clients forgotten\n")
            #expect(daemon.plane.with { $0.changes } == ["affinity 10.0.0.1 -", "affinity all chat"])
        }
    }
}

import Foundation
import Testing

/// `limpetctl plan`, and what comes of it.
@Suite(.ownThread, .fence)
struct PlanTests {
    private func scene(_ count: Int, service: [String] = [], second: [String] = []) throws -> (
        Reloadable, clients: [TCPSocket], landed: [String: Int]
    ) {
        let servers = try (1...4).map { try BackendServer(.greet("b\($0)")) }
        var rows = Reloadable.backends(servers)
        rows[1].settings = second
        let reloadable = try Reloadable([
            Reloadable.Service(listen: ["127.0.0.1:0"], settings: service, backends: rows)
        ])
        reloadable.servers = servers
        let clients = try (0..<count).map { try reloadable.client(from: clientHost($0)) }
        let landed = Dictionary(uniqueKeysWithValues: try reloadable.ctl.backends().map { ($0.name, $0.connections) })
        return (reloadable, clients, landed)
    }

    @Test func whatMakesNoSenseIsRefused() throws {
        let (reloadable, clients, _) = try scene(1)
        for words in [
            ["plan"], ["plan", "drain"], ["plan", "drian", "b1"], ["plan", "drain", "b1", "2"],
            ["plan", "weight", "b1"],
            ["plan", "weight", "b1", "257"],
        ] {
            #expect(try reloadable.ctl.run(words).status == 2, "\(words)")
        }
        #expect(try reloadable.ctl.run("plan", "drain", "b9").status == 4)
        for client in clients { client.close() }
        try reloadable.daemon.stop()
    }

    /// What is planned is what happens when all come again.
    @Test(arguments: ["drain", "disable", "weight"]) func everybodyLandsWhereThePlanSaid(_ action: String) throws {
        let (reloadable, clients, landed) = try scene(60)
        let ctl = reloadable.ctl
        let words = [action, "b1"] + (action == "weight" ? ["5"] : [])
        let report = try ctl.json(PlanDocument.self, ["plan"] + words)
        #expect(report.action == action && report.backend == "b1" && !report.needsForce)
        #expect(report.weight == (action == "weight" ? 5 : nil))
        let plan = report.plan
        #expect(plan.connections == 60 && plan.moving > 0 && plan.homeless == 0)
        for row in plan.backends { #expect(row.connections == landed[row.backend], "\(row)") }
        if action != "weight" { #expect(plan.moving == landed["b1"]) }
        // Nothing has changed.
        #expect(try ctl.status().differences == [] && clients.allSatisfy { $0.isQuiet })
        let text = try ctl.expect(["plan"] + words)
        #expect(text.contains("chat: \(plan.moving) of 60 connections would move\n"), "\(text)")
        try ctl.expect(words)
        for client in clients { client.close() }
        try reloadable.daemon.waitUntilIdle()
        let again = try (0..<60).map { try reloadable.client(from: clientHost($0)) }
        let rows = try ctl.backends()
        for row in plan.backends {
            #expect(rows.first { $0.name == row.backend }?.connections == row.connectionsAfter, "\(row)")
        }
        for client in again { client.close() }
        try reloadable.daemon.stop()
    }

    @Test func limitsTheLastBackendAndAReload() throws {
        let (reloadable, clients, landed) = try scene(40, second: ["max-connections = 40"])
        let ctl = reloadable.ctl
        reloadable.services[0].backends[1].settings = ["max-connections = \(max(1, landed["b2"] ?? 0))"]
        try reloadable.reload()
        let plan = try ctl.json(PlanDocument.self, ["plan", "drain", "b1"]).plan
        let second = try #require(plan.backends.first { $0.backend == "b2" })
        #expect(second.limit == max(1, landed["b2"] ?? 0) && second.arriving == 0 && second.passedOn > 0)
        #expect(try ctl.expect("plan", "drain", "b1").contains("b2 would be full, with \(second.limit ?? 0): "))
        // A dry run plans for what the file changes.
        reloadable.services[0].backends.remove(at: 3)
        let dry = try reloadable.reload(dryRun: true)
        #expect(dry.plans.count == 1 && dry.plans[0].moving == landed["b4"])
        #expect(dry.plans[0].backends.last.map { $0.backend == "b4" && $0.connectionsAfter == 0 } == true)
        reloadable.services[0].backends.append(
            .init(name: "b4", address: reloadable.servers[3].address))
        try ctl.expect("disable", "b2")
        try ctl.expect("disable", "b3")
        try ctl.expect("disable", "b4")
        let last = try ctl.json(PlanDocument.self, ["plan", "disable", "b1"])
        #expect(last.needsForce && last.plan.homeless == landed["b1"])
        #expect(clients.allSatisfy { $0.isQuiet })
        for client in clients { client.close() }
        try reloadable.daemon.stop()
    }

    @Test func manyAtOnceAreAnsweredOrToldToComeAgain() throws {
        let (reloadable, clients, _) = try scene(20)
        let ctl = reloadable.ctl
        let asked = (0..<12).map { number in Background("plan \(number)") { try ctl.run("plan", "drain", "b1") } }
        let answers = try asked.map { try $0.value() }
        #expect(answers.contains { $0.status == 0 })
        for answer in answers where answer.status != 0 {
            #expect(answer.status == 1 && answer.stderr.contains("try again"), "\(answer)")
        }
        try ctl.expect("plan", "drain", "b1")
        for client in clients { client.close() }
        try reloadable.daemon.stop()
    }
}

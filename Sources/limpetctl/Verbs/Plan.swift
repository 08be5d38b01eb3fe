import ArgumentParser
import Control

struct Plan: ShowingVerb {
    static let configuration = CommandConfiguration(
        abstract: "Show what a drain, a maintenance or a weight would move, and change nothing.",
        usage: "limpetctl plan drain | disable | weight BACKEND [N | file]",
        discussion: """
            Reckoned from the connections that there are: how many would move, which backend would get how many of them, \
            and where a limit would be reached. limpetctl reload --dry-run does it for changes of the configuration.
            """)

    private static let actions = ["drain", "disable", "weight"]

    @OptionGroup var options: GlobalOptions

    @Argument(help: "drain, disable or weight.", completion: .list(Plan.actions))
    var action: String

    @Argument(
        help: "SERVICE/BACKEND, or the backend's name where only one service has it.",
        completion: Completions.backend)
    var backend: String

    @Argument(help: ArgumentHelp("With weight: 1 to 256, or the word file.", valueName: "weight"))
    var weight: String?

    func validate() throws {
        guard Plan.actions.contains(action) else {
            throw ValidationError("\(action): what can be planned is drain, disable or weight")
        }
        if (weight != nil) != (action == "weight") {
            throw ValidationError(weight == nil ? "the weight is missing" : "\(action) takes no weight")
        }
        if let weight, weight != WeightText.file, Int(weight).map(WeightText.range.contains) != true {
            throw ValidationError("\(weight): a weight is a whole number from 1 to 256, or the word file")
        }
    }

    func show(_ client: ControlClient, _ output: Output) throws(ControlError) {
        let reply = try client.plan(action, backend, weight: weight)
        if output.form == .json { return try output.json(reply) }
        let (report, plan) = (reply.body, reply.body.plan)
        guard output.form == .table else { return output.rows(plan.backends, Column.plan) }
        let name = "\(plan.service)/\(report.backend)"
        let what = report.weight.map { "weight \($0) of \(name)" } ?? "\(report.action) of \(name)"
        output.line("\(what): nothing has changed")
        output.line("")
        output.servicePlan(plan)
        if report.needsForce {
            output.line("it would leave service \(plan.service) without a backend that takes new connections")
        }
    }
}

extension Output {
    func servicePlan(_ plan: ServicePlan) {
        line("\(plan.service): \(plan.moving) of \(Units.connections(plan.connections)) would move")
        rows(plan.backends, Column.plan)
        let skews = [
            plan.maxOverAverage.map { "\(Units.factor($0)) now" },
            plan.maxOverAverageAfter.map { "\(Units.factor($0)) then" },
        ]
        let text = skews.compactMap { $0 }.joined(separator: ", ")
        if !text.isEmpty { line("fullest backend over the average: \(text)") }
        for backend in plan.backends where backend.passedOn > 0 {
            line(
                "\(backend.backend) would be full\(backend.limit.map { ", with \($0)" } ?? ""): "
                    + "\(backend.passedOn) of its heirs would go on to their next choice")
        }
        if plan.homeless > 0 { line("\(Units.connections(plan.homeless)) would find no backend") }
    }
}

extension Column where Row == ServicePlan.Backend {
    static var plan: [Column] {
        [
            Column(title: "BACKEND", cut: .middle) { $0.backend },
            Column(title: "CONNS", alignment: .right) { String($0.connections) },
            Column(title: "LEAVING", alignment: .right) { String($0.leaving) },
            Column(title: "ARRIVING", alignment: .right) { String($0.arriving) },
            Column(title: "SHARE", alignment: .right) { Units.percent($0.share) },
            Column(title: "AFTER", alignment: .right) { String($0.connectionsAfter) },
            Column(
                title: "LIMIT", alignment: .right, text: { $0.limit.map { String($0) } ?? "-" },
                tone: { $0.passedOn > 0 ? .bad : .none }),
        ]
    }
}

extension ServicePlan.Backend: PlainRow {
    var plainFields: [String] {
        [
            backend, String(connections), String(leaving), String(arriving), "\(share)", String(connectionsAfter),
            limit.map { String($0) } ?? "", String(passedOn),
        ]
    }
}

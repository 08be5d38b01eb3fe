internal import Addressing
internal import Backends

/// What requests about drains, plans and listeners ask for.
extension Routes {
    func drainRequest(_ body: DrainBody) throws(ControlError) -> DrainRequest {
        let speed: DrainPace.Speed
        switch (body.rate, try shedTime("over_seconds", body.overSeconds)) {
        case (nil, nil): speed = .none
        case (let rate?, nil):
            guard rate > 0, RateText.range.contains(rate) else {
                throw ControlError(.badRequest, "rate: \(rate) is not a whole number from 1 to 100000")
            }
            speed = .rate(Double(rate))
        case (nil, let over?): speed = .over(over.inSeconds)
        default: throw ControlError(.badRequest, "say one of rate and over_seconds")
        }
        let grace = try duration("grace_seconds", body.graceSeconds)
        let deadline = try duration("deadline_seconds", body.deadlineSeconds)
        var order: Shedder.Order?
        if let text = body.order { order = try Request.choice("order", text, among: Shedder.Order.allCases) }
        if speed == .none, let stray = grace != nil ? "grace_seconds" : order != nil ? "order" : nil {
            throw ControlError(
                .badRequest, "\(stray) goes with rate or over_seconds: without one of these nobody is shed")
        }
        if let grace, let deadline, deadline < grace {
            throw ControlError(.badRequest, "the deadline comes before the grace period is over")
        }
        return DrainRequest(
            backend: try resolve(body.backend, in: body.service), grace: grace ?? .zero, speed: speed,
            order: order ?? .random, deadline: deadline, force: body.force ?? false)
    }

    /// A time over which connections are shed.
    func shedTime(_ name: String, _ seconds: Double?) throws(ControlError) -> Duration? {
        guard let time = try duration(name, seconds) else { return nil }
        guard time >= .milliseconds(100) else {
            throw ControlError(.badRequest, "\(name): connections are shed over 0.1 seconds at least")
        }
        return time
    }

    /// - Parameter text: an address as `listeners` shows it, or a service, which stands for all of its own.
    func listeners(_ text: String) throws(ControlError) -> [String] {
        let rows = plane.listeners()
        let wanted = (try? Endpoint(parsing: text))?.description ?? text
        let found = rows.filter { $0.address == wanted || $0.name == text }
        let matches = found.isEmpty ? rows.filter { $0.service == text } : found
        guard !matches.isEmpty else {
            throw ControlError(
                .noSuchObject, "\(text): no such listener, and no service of this name",
                suggestion: suggestion(for: text, among: rows.map(\.name) + rows.map(\.service)))
        }
        return matches.map(\.name)
    }

    /// An address may bear its zone, which plays no part in where it belongs.
    static func withoutZone(_ text: String) -> Substring { text.prefix { $0 != "%" } }

    func planRequest(_ request: Request) throws(ControlError) -> PlanRequest {
        try request.allow(["action", "backend", "service", "weight"])
        let words = ["drain", "disable", "weight"]
        let action = try request.value("action") ?? ""
        let weight = try request.value("weight")
        guard words.contains(action) else {
            throw ControlError(
                .badRequest, "action: \"\(action)\" is not one of \(words.joined(separator: ", "))",
                suggestion: suggestion(for: action, among: words))
        }
        guard (weight != nil) == (action == "weight") else {
            throw ControlError(
                .badRequest, weight == nil ? "weight is missing" : "weight goes with the action weight alone")
        }
        guard let backend = try request.value("backend") else { throw ControlError(.badRequest, "backend is missing") }
        var number: Int?
        if let weight, weight != WeightText.file {
            number = Int(weight)
            guard number.map(WeightText.range.contains) == true else {
                throw ControlError(
                    .badRequest, "weight: \"\(weight)\" is not a whole number from 1 to 256, or \"file\"")
            }
        }
        let name = try resolve(backend, in: try request.value("service"))
        return PlanRequest(
            backend: name, action: action == "weight" ? .weight(number) : action == "drain" ? .drain : .disable)
    }
}

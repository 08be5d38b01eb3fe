internal import Backends

/// Finds what a user's name means.
struct NameDirectory {
    private let names: [BackendName]
    /// Of backends that a reload has removed and that have connections yet.
    private let removed: [BackendName]
    /// Backends that were made of others, which the file has, with these.
    private let made: [(backend: BackendName, template: BackendName)]
    /// In the order of the configuration, without those that a reload has removed.
    let services: [String]

    init(_ rows: [BackendRow]) {
        names = rows.filter { $0.state != .removed }.map(\.fullName)
        removed = rows.filter { $0.state == .removed }.map(\.fullName)
        made = rows.filter { $0.state != .removed }.compactMap { row in
            guard let template = row.resolution?.template else { return nil }
            return (row.fullName, BackendName(service: row.service, backend: template))
        }
        services = names.map(\.service).reduce(into: []) { if $0.last != $1 { $0.append($1) } }
    }

    /// - Parameter text: nil: the only service. It may have been removed, as long as it has connections.
    func service(_ text: String?) throws(ControlError) -> String {
        guard let text else {
            guard services.count == 1 else {
                throw ControlError(.ambiguous, "there are several services: name one of \(listed(services))")
            }
            return services[0]
        }
        guard services.contains(text) || removed.contains(where: { $0.service == text }) else {
            throw ControlError(
                .noSuchObject, "\(text): no such service", suggestion: suggestion(for: text, among: services))
        }
        return text
    }

    /// - Parameters:
    ///   - text: `service/backend`, or the backend's name alone where it is unambiguous.
    ///   - service: an existing service to look in; nil: all.
    /// - Returns: one that a reload has removed only where none that is configured is meant.
    func backend(_ text: String, in service: String?) throws(ControlError) -> BackendName {
        let candidates = names.filter { service == nil || $0.service == service }
        let isFull = text.contains("/")
        let fits = { (name: BackendName) in isFull ? name.description == text : name.backend == text }
        var matches = candidates.filter(fits)
        if matches.isEmpty { matches = removed.filter { service == nil || $0.service == service }.filter(fits) }
        guard let match = matches.first else {
            let meant = made.filter { (service == nil || $0.backend.service == service) && fits($0.template) }
            if !meant.isEmpty {
                let isOne = !isFull && Set(meant.map(\.backend.service)).count == 1
                let words = meant.map { isOne ? $0.backend.backend : $0.backend.description }
                throw ControlError(
                    .noSuchObject, "\(text): no such backend: it stands for \(NameDirectory.shortened(words))")
            }
            throw ControlError(
                .noSuchObject, "\(text): no such backend",
                suggestion: suggestion(for: text, among: candidates.map { isFull ? $0.description : $0.backend }))
        }
        guard matches.count == 1 else {
            throw ControlError(
                .ambiguous,
                "\(text): several services have a backend of this name: say \(listed(matches.map(\.description)))")
        }
        return match
    }

    /// The same, where it has to take part in the choice.
    func configuredBackend(_ text: String, in service: String?) throws(ControlError) -> BackendName {
        let name = try backend(text, in: service)
        guard !removed.contains(name) else {
            throw ControlError(
                .refused,
                "\(name): a reload has removed it; it takes no new connections, and close --backend ends those it has")
        }
        return name
    }

    /// Names that a message has at most of those that another stands for.
    private static let mostTold = 8

    private static func shortened(_ words: [String]) -> String {
        let rest = words.count - mostTold
        return words.count == 1
            ? "\(words[0]): name that"
            : words.prefix(mostTold).joined(separator: ", ") + (rest > 0 ? " and \(rest) more" : "") + ": name these"
    }

    private func listed(_ words: [String]) -> String {
        words.count < 2 ? words.joined() : words.dropLast().joined(separator: ", ") + " or " + words[words.count - 1]
    }
}

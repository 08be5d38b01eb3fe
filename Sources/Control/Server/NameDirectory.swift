internal import Backends

/// Finds what a user's name means.
struct NameDirectory {
    private let names: [BackendName]
    /// In the order of the configuration.
    let services: [String]

    init(_ rows: [BackendRow]) {
        names = rows.map(\.fullName)
        services = names.map(\.service).reduce(into: []) { if $0.last != $1 { $0.append($1) } }
    }

    /// - Parameter text: nil: the only service.
    func service(_ text: String?) throws(ControlError) -> String {
        guard let text else {
            guard services.count == 1 else {
                throw ControlError(.ambiguous, "there are several services: name one of \(listed(services))")
            }
            return services[0]
        }
        guard services.contains(text) else {
            throw ControlError(
                .noSuchObject, "\(text): no such service", suggestion: suggestion(for: text, among: services))
        }
        return text
    }

    /// - Parameters:
    ///   - text: `service/backend`, or the backend's name alone where it is unambiguous.
    ///   - service: an existing service to look in; nil: all.
    func backend(_ text: String, in service: String?) throws(ControlError) -> BackendName {
        let candidates = names.filter { service == nil || $0.service == service }
        let isFull = text.contains("/")
        let matches = candidates.filter { isFull ? $0.description == text : $0.backend == text }
        guard let match = matches.first else {
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

    private func listed(_ words: [String]) -> String {
        words.count < 2 ? words.joined() : words.dropLast().joined(separator: ", ") + " or " + words[words.count - 1]
    }
}

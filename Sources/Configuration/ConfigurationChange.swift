/// One difference between two configurations, by name: what a reload does, in a form that a table, a line of the log and
/// JSON can all show. Plain value.
public struct ConfigurationChange: Sendable, Hashable, CustomStringConvertible {
    /// What happens to it.
    public enum Kind: String, Sendable, CaseIterable {
        case added, removed, changed
    }

    /// What it is.
    public enum Subject: String, Sendable, CaseIterable {
        case daemon, service, listener, backend
    }

    public var kind: Kind
    public var subject: Subject
    /// nil for what concerns the whole daemon. For a listener that has gone over to another service: the new one.
    public var service: String?
    /// The name of a backend, the address of a listener; nil for the daemon and for a service.
    public var name: String?
    /// The setting; nil for what is added or removed as a whole.
    public var key: String?
    /// The value before; for what is removed, what it was where that says something. nil: there was none.
    public var old: String?
    /// The value from now on; for what is added, what it is where that says something. nil: there is none.
    public var new: String?

    public init(
        _ kind: Kind, _ subject: Subject, service: String? = nil, name: String? = nil, key: String? = nil,
        old: String? = nil, new: String? = nil
    ) {
        self.kind = kind
        self.subject = subject
        self.service = service
        self.name = name
        self.key = key
        self.old = old
        self.new = new
    }

    /// What is concerned, as the commands call it: `limpetd`, `chat`, `chat/ws1`, `0.0.0.0:80 of chat`.
    public var fullName: String {
        switch subject {
        case .daemon: "limpetd"
        case .service: service ?? ""
        case .listener: "\(name ?? "") of \(service ?? "")"
        case .backend: "\(service ?? "")/\(name ?? "")"
        }
    }

    /// One line: `changed backend chat/ws1: weight from 1 to 2`, `removed listener 0.0.0.0:81 of chat`.
    public var description: String {
        let start = subject == .daemon ? "\(kind)" : "\(kind) \(subject) \(fullName)"
        switch (key, kind) {
        case (let key?, _):
            return start + (subject == .daemon ? " " : ": ") + "\(key) from \(old ?? "none") to \(new ?? "none")"
        case (nil, .added): return start + (new.map { ": \($0)" } ?? "")
        case (nil, _): return start + (old.map { ": \($0)" } ?? "")
        }
    }
}

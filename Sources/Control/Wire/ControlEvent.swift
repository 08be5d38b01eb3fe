/// Something that has happened, in `GET /v1/events`: one object on one line, with the fields of ``Reply``.
public struct ControlEvent: Codable, Sendable, Equatable {
    public enum Kind: String, Codable, Sendable, CaseIterable {
        /// The health of a backend has changed.
        case health
        /// The reader was too slow: so many events are left out here.
        case missed
    }

    public var event: Kind
    /// null where the event concerns none.
    @Nullable public var service: String?
    @Nullable public var backend: String?
    /// What was, and what is from now on.
    @Nullable public var old: String?
    @Nullable public var new: String?
    /// Why, in words.
    @Nullable public var cause: String?
    /// Of `missed`: how many.
    @Nullable public var count: Int?

    public init(
        _ event: Kind, service: String? = nil, backend: String? = nil, old: String? = nil, new: String? = nil,
        cause: String? = nil
    ) {
        self.event = event
        self.service = service
        self.backend = backend
        self.old = old
        self.new = new
        self.cause = cause
        count = nil
    }

    init(missed count: Int) {
        self.init(.missed)
        self.count = count
    }
}

/// Something that has happened, in `GET /v1/events`: one object on one line, with the fields of ``Reply``.
///
/// Every field is always there; which of them a kind fills is said with the kind, and in limpet-control(7).
public struct ControlEvent: Codable, Sendable, Equatable {
    public enum Kind: String, Codable, Sendable, CaseIterable {
        /// The daemon has started: `new` is its version.
        case start
        /// The health of a backend has changed: `old`, `new`, `cause`.
        case health
        /// A service has lost its last backend that is up, or has one again: `old`, `new`, each `up` or `down`.
        case service
        /// What an operator wants of a backend has changed: `old`, `new`, `uid`; `cause` where it was not an operator.
        case intent
        /// A weight has changed by hand, or gives way to the configuration's: `old`, `new`, `cause`, `uid`.
        case weight
        /// A drain goes on: `new` says how (begun, paused, resumed, deadline, done, ended), `cause` why, `count` how many
        /// connections are left.
        case drain
        /// Connections are closed at a pace, of clients that are to go home or of a backend that is down: `new` (begun,
        /// done, ended), `cause`, `count`, `uid`.
        case shed
        /// An operator has closed connections: `cause` says which, `count` how many, `uid`.
        case close
        /// A listener was paused or resumed: `service`, `listener`, `new` (paused, refusing, resumed), `uid`.
        case listener
        /// The configuration was read again: `new` (applied, unchanged, refused), `count` changes, `cause` of a refusal,
        /// `uid`; none for a signal.
        case reload
        /// A limit was reached, or something is used up: `new` says which, `cause` what that means, `count` how often since
        /// the last event of its kind; `service` or `backend` where it is theirs.
        case limit
        /// An engine has died, and the next one goes on: `cause`, `count` connections kept, `new` the engine's number.
        case crash
        /// An upgrade has ended: `old` and `new` version, `cause` where it was refused or taken back, `count` connections
        /// kept.
        case upgrade
        /// A name of backends is answered otherwise, begins to fail, or is answered again: `cause` says which, `old` and
        /// `new` records, or `new` alone (failing, answered).
        case name
        /// Somebody who may not has asked for a change, or to be let in at all: `cause` says for what and why not, `uid`.
        case refused
        /// The log level was set: `old`, `new`, `uid`.
        case log
        /// The daemon is going to end: `count` connections, `uid`; none for a signal.
        case shutdown
        /// Events are left out here, because the reader was too slow or its cursor too old: `count`, null where that is not
        /// known.
        case missed
    }

    public var event: Kind
    /// Where to go on after this event. Set when it is posted.
    @Nullable public internal(set) var cursor: String?
    /// null where the event concerns none.
    @Nullable public var service: String?
    @Nullable public var backend: String?
    /// Address of a listener.
    @Nullable public var listener: String?
    /// What was, and what is from now on.
    @Nullable public var old: String?
    @Nullable public var new: String?
    /// Why, in words.
    @Nullable public var cause: String?
    /// How many, of what the kind says.
    @Nullable public var count: Int?
    /// Who asked for it; null where nobody did.
    @Nullable public var uid: UInt32?

    public init(
        _ event: Kind, service: String? = nil, backend: String? = nil, listener: String? = nil, old: String? = nil,
        new: String? = nil, cause: String? = nil, count: Int? = nil, uid: UInt32? = nil
    ) {
        self.event = event
        cursor = nil
        self.service = service
        self.backend = backend
        self.listener = listener
        self.old = old
        self.new = new
        self.cause = cause
        self.count = count
        self.uid = uid
    }
}

/// A place in the stream of events: after the event of that number.
///
/// Numbers go on over deaths and upgrades of the engine; a daemon that starts afresh begins anew, with another epoch.
public struct EventCursor: Sendable, Equatable, CustomStringConvertible {
    /// Milliseconds since 1970 at which the numbers began.
    public var epoch: UInt64
    public var number: UInt64

    public init(epoch: UInt64, number: UInt64) {
        self.epoch = epoch
        self.number = number
    }

    /// Reads what ``description`` writes.
    public init?(_ text: String) {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2, !parts[0].hasPrefix("+"), !parts[1].hasPrefix("+"),
            let epoch = UInt64(parts[0], radix: 16), let number = UInt64(parts[1])
        else { return nil }
        self.init(epoch: epoch, number: number)
    }

    public var description: String { "\(String(epoch, radix: 16))-\(number)" }
}

public import NIOCore

/// What the control socket asks of the engine.
///
/// The server calls every method on the control event loop and nowhere else; the engine may therefore keep its
/// state without locks. No method blocks: what takes its time returns a future of that loop.
///
/// Names and force are the server's affair: a service or backend in a request exists, and the caller may do what it
/// asks (``AccessPolicy``). What is left to the engine is what only it can know, such as whether a drain would leave a
/// service without an eligible backend.
public protocol ControlPlane: AnyObject {
    func status() -> StatusReport
    /// All backends, service by service in the order of the configuration.
    func backends() -> [BackendRow]
    func listeners() -> [ListenerRow]
    /// What changes fast.
    func top() -> TopReport
    func logLevel() -> LogReport
    /// Sets the level of the log, until the next reload or restart.
    func setLogLevel(_ level: LogReport.Level, by caller: Caller) -> LogReport
    /// Starts a walk over the connection table. Rows are consistent one by one, not as a whole.
    func connections() -> any ConnectionCursor
    /// The preference order of a client's address.
    /// - Throws: ``ControlError/Code/badRequest`` where the service hashes the port and none was given.
    func locate(_ request: WhereRequest) throws(ControlError) -> WhereReport
    /// The clients that are remembered.
    func affinity(_ request: AffinityRequest) -> AffinityReport
    /// Forgets clients that are remembered: they go home when they come again.
    /// - Throws: ``ControlError/Code/needsForce`` where no address was given, several would be forgotten, and the request
    ///   does not force it.
    func forgetAffinity(_ request: AffinityRequest, by caller: Caller) throws(ControlError) -> AffinityClearReport
    /// What a change would move, reckoned from the connections that there are. Nothing changes.
    func plan(_ request: PlanRequest) throws(ControlError) -> EventLoopFuture<PlanReport>
    /// Excludes a backend from new connections, at once. With a deadline, what is left then is closed.
    /// - Returns: the backend as it is now, once that has been written down.
    /// - Throws: ``ControlError/Code/needsForce`` where it would leave its service without an eligible backend and the
    ///   request does not force it.
    func drain(_ request: DrainRequest, by caller: Caller) throws(ControlError) -> EventLoopFuture<BackendChange>
    /// - Returns: as ``drain(_:by:)``.
    /// - Throws: ``ControlError/Code/refused`` for a backend in maintenance.
    func undrain(_ request: BackendRequest, by caller: Caller) throws(ControlError) -> EventLoopFuture<BackendChange>
    /// Takes a backend into maintenance, at once: no new connections, no checks. Those that exist are kept or, as asked,
    /// closed.
    /// - Returns: as ``drain(_:by:)``.
    /// - Throws: ``ControlError/Code/needsForce`` as ``drain(_:by:)``, and where connections would be closed.
    func disable(_ request: DisableRequest, by caller: Caller) throws(ControlError) -> EventLoopFuture<BackendChange>
    /// - Returns: as ``drain(_:by:)``.
    /// - Throws: ``ControlError/Code/refused`` for a backend that drains.
    func enable(_ request: BackendRequest, by caller: Caller) throws(ControlError) -> EventLoopFuture<BackendChange>
    /// Sets a weight, or gives it back to the configuration. Holds for the next connection.
    /// - Returns: as ``drain(_:by:)``.
    func setWeight(_ request: WeightRequest, by caller: Caller) throws(ControlError) -> EventLoopFuture<BackendChange>
    /// Pauses listeners, or lets them accept again. It holds until it is taken back, but not over a restart.
    /// - Returns: their rows, as they are now.
    func set(_ request: ListenerRequest, by caller: Caller) throws(ControlError) -> ListenersReport
    /// Checks a backend now.
    /// - Returns: what came of it.
    /// - Throws: ``ControlError/Code/refused`` for a backend that has no check.
    func check(_ request: BackendRequest, by caller: Caller) throws(ControlError) -> EventLoopFuture<CheckReport>
    /// Where changes are told.
    var events: EventHub { get }
    /// Takes note of a change that was not made, or of somebody who may do nothing.
    func noteRefused(_ attempt: ControlAttempt, _ error: ControlError)
    /// Closes the connections that the selector matches.
    /// - Returns: how many were told to close.
    /// - Throws: ``ControlError/Code/needsForce`` where that is more than one and the request does not force it.
    func close(_ request: CloseRequest, by caller: Caller) throws(ControlError) -> CloseReport
    /// Begins to close connections of clients that are away, at a pace and each at a quiet moment, where their homes would
    /// take them. What is under way for a service makes way.
    /// - Returns: how many there are, at once.
    func rehome(_ request: RehomeRequest, by caller: Caller) throws(ControlError) -> RehomeReport
    /// Reads the configuration again, and unless it is a dry run applies it, all of it or nothing. One reload after the
    /// other.
    /// - Returns: what has changed, once every worker goes by it; fails with a ``ControlError`` where nothing has.
    func reload(_ request: ReloadRequest, by caller: Caller) throws(ControlError) -> EventLoopFuture<ReloadReport>
    /// All metrics in Prometheus' text format, see limpet-metrics(7).
    func metrics() -> String
    /// The effective configuration as TOML.
    func configuration() -> String
    func readiness() -> ReadyReport
    /// Begins an upgrade and returns at once. Its outcome is asked for by number: of this process, or of the one that has
    /// taken its place.
    /// - Throws: ``ControlError/Code/refused`` where it cannot begin now.
    func upgrade(_ request: UpgradeRequest, by caller: Caller) throws(ControlError) -> UpgradeReport
    /// - Throws: ``ControlError/Code/noSuchObject`` for any number but the last one's.
    func upgrade(_ id: UInt64) throws(ControlError) -> UpgradeReport
    /// Stops accepting, waits up to the drain time for connections, closes the rest, ends the process. Returns at once.
    func shutdown(_ request: ShutdownRequest, by caller: Caller) throws(ControlError)
}

/// A walk over the connection table that yields between slices, so that a table of any size holds nobody up.
public protocol ConnectionCursor: AnyObject {
    /// The next rows, in slot order; nil at the end. A slice may be empty although more follow.
    /// - Parameter limit: slots to look at, at most.
    func next(limit: Int) -> [ConnectionRow]?
    /// What the kernel says of the connection of a row; nil where it has gone meanwhile.
    func kernel(_ row: ConnectionRow) -> ConnectionRow.Kernel?
}

/// Who is on the other side of the control socket, from SO_PEERCRED and SO_PEERGROUPS (unix(7), socket(7)).
public struct Caller: Sendable, Equatable {
    public var pid: Int32
    public var uid: UInt32
    public var gid: UInt32
    /// Supplementary groups.
    public var groups: [UInt32]

    public init(pid: Int32, uid: UInt32, gid: UInt32, groups: [UInt32] = []) {
        self.pid = pid
        self.uid = uid
        self.gid = gid
        self.groups = groups
    }
}

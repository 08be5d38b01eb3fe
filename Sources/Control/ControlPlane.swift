/// What the control socket asks of the engine.
///
/// The server calls every method on the control event loop and nowhere else; the engine may therefore keep its
/// state without locks. No method blocks.
public protocol ControlPlane: AnyObject {
    func status() -> StatusReport
    func backends() -> [BackendRow]
    func listeners() -> [ListenerRow]
    /// Starts a walk over the connection table. Rows are consistent one by one, not as a whole.
    func connections() -> any ConnectionCursor
    /// The preference order of a client's address.
    /// - Parameters:
    ///   - service: nil: the only service; with several, ``ControlError/ambiguous`` names them.
    ///   - without: backends to imagine away, by name.
    func locate(_ request: WhereRequest) throws(ControlError) -> WhereReport
    /// Excludes a backend from new connections, at once. With a deadline, what is left then is closed.
    func drain(_ request: DrainRequest, by caller: Caller) throws(ControlError) -> BackendRow
    func undrain(_ request: BackendRequest, by caller: Caller) throws(ControlError) -> BackendRow
    /// Closes the connections that the selector matches.
    /// - Returns: how many were told to close.
    func close(_ request: CloseRequest, by caller: Caller) throws(ControlError) -> CloseReport
    /// The effective configuration as TOML.
    func configuration() -> String
    func readiness() -> ReadyReport
    /// Stops accepting, waits up to the drain time for connections, closes the rest, ends the process. Returns at once.
    func shutdown(_ request: ShutdownRequest, by caller: Caller) throws(ControlError)
}

/// A walk over the connection table that yields between slices, so that a table of any size holds nobody up.
public protocol ConnectionCursor: AnyObject {
    /// The next rows, in slot order; nil at the end. A slice may be empty although more follow.
    /// - Parameter limit: slots to look at, at most.
    func next(limit: Int) -> [ConnectionRow]?
}

/// Who is on the other side of the control socket, from SO_PEERCRED.
public struct Caller: Sendable, Equatable {
    public var pid: Int32
    public var uid: UInt32
    public var gid: UInt32

    public init(pid: Int32, uid: UInt32, gid: UInt32) {
        self.pid = pid
        self.uid = uid
        self.gid = gid
    }
}

import Linux

/// What a worker is told.
public enum WorkerCommand: Sendable {
    /// Ends one connection, unless its slot has another by now.
    case close(slot: UInt32, generation: UInt32, CloseMode, EndReason)
    /// The same, orderly, unless something has come through since then (`active` of the record), or waits to.
    case closeIfStill(slot: UInt32, generation: UInt32, active: UInt64, EndReason)
    /// Ends all connections.
    case closeAll(CloseMode, EndReason)
    /// Asks how long it takes until the worker comes to this command, which was posted at `sent` (ns of ``Clock``).
    case probe(sent: UInt64)
    /// An operator wants something else of those who arrive, see ``Admission``.
    case reviewListeners
    /// Takes in who waits at the listening sockets and closes them.
    case stopListening
    /// Another table, other listeners; see ``WorkerPool/configure(table:listeners:acknowledged:)``.
    case configure(Reconfiguration)
    /// Ends the turn and stops until the gate opens.
    case park(Gate)
    /// Leaves the loop after the commands before it. Connections still open are closed with the process.
    case stop
}

/// How a connection is ended by order.
public enum CloseMode: Sendable {
    /// What was read is delivered, both sides get FIN, what they still send is dropped until they close too.
    case orderly
    /// Both sides get RST at once.
    case reset
}

/// Commands on their way to one worker. Any thread may post; the worker takes them all when its eventfd wakes it.
final class Mailbox: Sendable {
    let wakeUp: WakeUp
    /// Set by the worker once it has no listening socket any more and has taken in who waited there.
    let hasStoppedListening = Locked(false)
    private let commands = Locked<[WorkerCommand]>([])

    init(wakeUp: WakeUp) {
        self.wakeUp = wakeUp
    }

    func post(_ new: some Sequence<WorkerCommand> & Sendable) {
        commands.with { $0.append(contentsOf: new) }
        wakeUp.signal()
    }

    func takeAll() -> [WorkerCommand] {
        commands.with { waiting in
            let taken = waiting
            waiting.removeAll()
            return taken
        }
    }
}

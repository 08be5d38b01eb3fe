import Forwarding
import Linux
import NIOCore

/// How the workers learn of another table: one way for a reload and for a weight that an operator sets.
extension Controller {
    /// Makes the topology anew with the weights that are in force, and hands it to the workers.
    /// - Parameter done: called on the event loop once every worker goes by it.
    func rebuild(done: @escaping @Sendable () -> Void) throws(StartError) {
        goOver(
            to: try Topology(
                request.configuration, topology.tables, names: topology.names, after: topology,
                weight: region.effectiveWeight), done: done)
    }

    /// Hands a topology to the workers. It holds from their next connection on.
    /// - Parameters:
    ///   - listeners: as the region has them; nil: the workers keep theirs.
    ///   - done: called on the event loop once every worker goes by it.
    func goOver(to next: Topology, listeners: ListenerSet? = nil, done: @escaping @Sendable () -> Void) {
        topology = next
        incidents.topology = next
        logThread.follow(next)
        healthKeeper.follow(next)
        if let listeners { listenerSet = listeners }
        workers.configure(
            table: next.forwardingTable(),
            listeners: listeners.map { set in (0..<workers.count).map(set.forWorker) },
            acknowledged: { [eventLoop] in eventLoop.execute(done) })
    }
}

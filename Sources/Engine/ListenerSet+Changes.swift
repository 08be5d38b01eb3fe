import Addressing
import CLayout
import Configuration
import Continuity
import Forwarding
import Linux
import Logging

/// What a reload does to listeners that are there already, and what the next engine does of it where a death came between.
extension ListenerSet {
    /// Gives every listener the socket options of its service. Accepted sockets inherit them.
    /// - Parameter former: the services as they were: those whose options are the same are left alone, because on kernels
    ///   before 5.16 setting a buffer's size ends the kernel's own tuning of it. nil: nobody knows how they were.
    func setOptions(of services: [ServiceConfiguration], tables: SlotTables, unlessAsIn former: [ServiceConfiguration]?)
    {
        for listener in listeners where listener.service < tables.services.count {
            let name = tables.services[listener.service].name
            guard let service = services.first(where: { $0.name == name }) else { continue }
            let old = former?.first { $0.name == name }.map { SocketOptions($0) }
            let new = SocketOptions(service)
            if old != new { for descriptor in listener.descriptors { new.change(descriptor) } }
        }
    }

    /// Makes listeners intercept, or cease to, as their configuration says. Done again it changes nothing.
    func setInterception(_ topology: Topology, in region: SharedRegion, _ log: Logger) {
        for listener in listeners {
            guard let wanted = topology.configuration(ofListener: listener.slot)?.isIntercepting,
                let endpoint = listener.address.endpoint
            else { continue }
            let number = wanted ? Int32(listener.slot) + 1 : 0
            if wanted { region.setIntercepting(true, ofListener: listener.slot) }
            for descriptor in listener.descriptors
            where descriptor >= 0 && (StreamSocket.interception(descriptor) ?? 0) != number {
                let family = SocketAddress(endpoint).family
                guard let error = StreamSocket.setInterception(descriptor, family: family, number) else { continue }
                log.error("cannot change intercept on \(listener.name): \(error); restart limpetd")
            }
            if !wanted { region.setIntercepting(false, ofListener: listener.slot) }
        }
    }

    /// Lets those listen that take the place of others. Done again, it changes nothing: an engine begins with it, as a death
    /// may have come before.
    /// - Parameter end: a slot: it and those that follow are left alone.
    func listen(_ log: Logger, below end: Int = .max) {
        for listener in listeners where listener.slot < end {
            for descriptor in listener.descriptors where descriptor >= 0 && !StreamSocket.isListening(descriptor) {
                guard let error = StreamSocket.listen(descriptor) else { continue }
                log.error("cannot listen on \(listener.name): \(error); restart limpetd")
            }
        }
    }

    /// Takes in who waits at the sockets of a listener that is no longer wanted, before ``close(_:in:)``, which would reset
    /// them. Where no worker serves.
    static func takeIn(_ slot: Int, in region: SharedRegion) -> [AcceptedSocket] {
        let state = region.listener(slot)
        guard state.pointee.used != UInt8(LIMPET_SLOT_FREE) else { return [] }
        var accepted: [AcceptedSocket] = []
        var peer = SocketAddress()
        for worker in 0..<Int32(region.workerCount) {
            let listener = limpet_listener_descriptor(state, worker).pointee
            guard listener >= 0 else { continue }
            for _ in 0..<StreamSocket.backlog {
                guard case .success(let descriptor) = StreamSocket.accept(listener, peer: &peer) else { break }
                accepted.append(AcceptedSocket(descriptor: descriptor, listener: UInt16(slot)))
            }
        }
        return accepted
    }
}

extension SlotAssignment {
    /// What an operator wants of who arrives holds for a listener whatever its sockets. On the thread on which operators are
    /// served, and before the tables count: a `pause` comes before this, and is kept, or after, and is of the new slot.
    func keepAdmission(in region: SharedRegion) {
        for listener in opened {
            if let former = listener.former { region.setAdmission(region.admission(of: former), of: listener.slot) }
        }
    }
}

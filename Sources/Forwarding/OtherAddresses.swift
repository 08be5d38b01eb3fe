import Backends
import CLayout
import Linux

/// How far the attempt to connect to a backend at several addresses has come. Not known of after a death: then the attempt
/// begins anew.
struct AddressWalk {
    /// Addresses that were tried, the one that is being tried included.
    var tries: Int
    /// ns of ``Clock``: when the time of the whole attempt is over.
    let until: UInt64
}

/// A backend that is given by a name may be at several addresses. An attempt to connect to it tries them in their order,
/// within the time of one attempt; only when none is left has the attempt failed, and the next backend is tried.
extension Worker {
    /// Addresses that are tried in one attempt.
    static let mostAddresses = 8

    /// Time for the connect that begins: each address has an equal part of what is left.
    func timeToConnect(
        _ slot: Int, _ service: ForwardingTable.Service, _ member: ForwardingTable.Member
    ) -> UInt64 {
        guard !member.others.isEmpty else { return service.connectTimeout }
        let walk = walks[slot]
        let left = walk.map { $0.until > now ? $0.until - now : 0 } ?? service.connectTimeout
        let addresses = min(member.others.count + 1, Worker.mostAddresses) - (walk?.tries ?? 1) + 1
        return max(left / UInt64(max(addresses, 1)), 1_000_000)
    }

    /// A connect could not even be started: those to the backend's other addresses are.
    /// - Returns: nil: one is under way; else why the last of them could not be started, a failed connect coming before a
    ///   lack of ports.
    mutating func startOther(
        _ slot: Int, _ service: ForwardingTable.Service, _ member: ForwardingTable.Member, after failure: NoSource
    ) -> NoSource? {
        var failure = failure
        while !failure.isLocal, let next = nextAddress(slot, service, member) {
            guard let again = startConnect(slot, service, next) else { return nil }
            if case .failed = failure, again == .ports || again == .family { continue }
            failure = again
        }
        return failure
    }

    /// A connect has failed: goes on to the backend's next address.
    /// - Returns: false: there is none, and nothing has been done.
    mutating func dialOther(_ slot: Int, _ error: Errno, resetting: Bool) -> Bool {
        let record = records + slot
        let backend = record.pointee.backend
        let service = table.services[Int(record.pointee.service)]
        guard !error.isLocal,
            let member = service.members.first(where: { $0.slot == backend && !$0.others.isEmpty }),
            let next = nextAddress(slot, service, member)
        else { return false }
        wheel.cancel(slot)
        if resetting { StreamSocket.resetOnClose(record.pointee.descriptor.1) }
        // The place under the backend's limit stays taken: it is the same attempt.
        closeBackend(record)
        limpet_bump64(&counters(backend).pointee.connecting, .max)
        guard let failure = startConnect(slot, service, next),
            let last = startOther(slot, service, member, after: failure)
        else { return true }
        releaseLoad(backend)
        // One of its addresses was connected to, and that failed.
        if case .failed(let errno) = last {
            connectFailed(slot, backend, errno)
        } else {
            connectFailed(slot, backend, error)
        }
        noteAway(record, backend, .connectFailed)
        dialNext(slot)
        return true
    }

    /// The address that follows the one that the record names; nil: there is none, or no time.
    private mutating func nextAddress(
        _ slot: Int, _ service: ForwardingTable.Service, _ member: ForwardingTable.Member
    ) -> ForwardingTable.Member? {
        guard !member.others.isEmpty else { return nil }
        let record = records + slot
        var walk = walks[slot] ?? AddressWalk(tries: 1, until: record.pointee.active + service.connectTimeout)
        let last = record.pointee.backend_address.endpoint
        // Where the name has other addresses by now, they are tried from the first on.
        let position = (0...member.others.count).first { member.address(at: $0).endpoint == last }
        let next = position.map { $0 + 1 } ?? 0
        guard next <= member.others.count, walk.tries < Worker.mostAddresses, now < walk.until else { return nil }
        walk.tries += 1
        walks[slot] = walk
        return member.at(next)
    }
}

extension ForwardingTable.Member {
    /// - Parameter position: 0 to the number of ``others``.
    fileprivate func address(at position: Int) -> SocketAddress { position == 0 ? address : others[position - 1] }

    /// The same backend, to be connected to at another of its addresses.
    fileprivate func at(_ position: Int) -> ForwardingTable.Member {
        ForwardingTable.Member(slot: slot, address: address(at: position), others: others, tenths: tenths)
    }
}

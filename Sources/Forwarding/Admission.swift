import CLayout
import Linux

/// What becomes of clients that arrive at a listener. In the region, so that it outlives engines and upgrades.
///
/// The raw values are stored in shared memory and must not change.
public enum Admission: UInt8, Sendable, CaseIterable {
    case open = 0
    /// They wait in the kernel's queue.
    case paused = 1
    /// They are reset.
    case refusing = 2
}

extension SharedRegion {
    /// Any thread.
    @inline(__always)
    public func admission(of listener: Int) -> Admission {
        Admission(rawValue: limpet_load8(&self.listener(listener).pointee.admission)) ?? .open
    }

    /// The control plane alone; then the workers are told to look (``WorkerCommand/reviewListeners``).
    public func setAdmission(_ admission: Admission, of listener: Int) {
        limpet_publish8(&self.listener(listener).pointee.admission, admission.rawValue)
    }
}

extension Worker {
    /// What is watched for at a listener now.
    func interest(_ listener: WorkerListener) -> Poller.Interest {
        switch region.admission(of: Int(listener.listener)) {
        case .open: listening == .yes ? .read : []
        case .paused: []
        // Nobody who is reset takes a place.
        case .refusing: listening == .yes || listening == .atLimit ? .read : []
        }
    }

    /// Makes epoll watch a listener for what is watched for now, whether or not it is in the set. nil: done.
    ///
    /// Of the workers that share a socket, the kernel wakes the one that has waited longest in its list and can take it:
    /// without more, always the same one. So whoever was woken goes to the end of the list. What is there already is told of
    /// again at that.
    func watch(_ listener: WorkerListener) -> Errno? {
        let interest = interest(listener)
        let token = Token.listener(listener.listener)
        guard listener.isShared else { return poller.ensure(listener.descriptor, token: token, interest: interest) }
        poller.remove(listener.descriptor)
        if interest.isEmpty { return nil }
        return poller.add(listener.descriptor, token: token, interest: interest.union(.exclusive))
    }

    static func acceptsPerTurn(_ listener: WorkerListener) -> Int {
        listener.isShared ? sharedAcceptsPerTurn : acceptsPerTurn
    }

    /// Resets who waits at a listening socket. True: perhaps there are more.
    mutating func refuseBatch(_ listener: WorkerListener) -> Bool {
        guard listening == .yes || listening == .atLimit else { return false }
        for _ in 0..<Worker.acceptsPerTurn(listener) {
            switch StreamSocket.accept(listener.descriptor, peer: &peerAddress) {
            case .success(let descriptor):
                turnAway(descriptor, listener, peerAddress.endpoint, .paused)
            case .failure(let error):
                if error == .wouldBlock { return false }
                if error.isLackOfDescriptors {
                    limpet_bump64(&own.pointee.descriptor_failures, 1)
                    pauseForDescriptors(error)
                    return false
                }
                if error.isLackOfListener {
                    giveUp(listener, error)
                    return false
                }
            }
        }
        return true
    }

    /// A socket does not listen: epoll would tell of that without end, and nobody comes by it. The next reload, and the next
    /// engine, look again.
    mutating func giveUp(_ listener: WorkerListener, _ error: Errno) {
        poller.remove(listener.descriptor)
        listeners.removeAll { $0.listener == listener.listener }
        incidents.add(Incident(kind: .notListening, slot: listener.listener, errno: error))
    }
}

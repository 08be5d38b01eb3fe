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

    /// Resets who waits at a listening socket. True: perhaps there are more.
    mutating func refuseBatch(_ listener: WorkerListener) -> Bool {
        guard listening == .yes || listening == .atLimit else { return false }
        for _ in 0..<Worker.acceptsPerTurn {
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
            }
        }
        return true
    }
}

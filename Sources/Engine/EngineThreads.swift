import Control
import Glibc
import Linux
import NIOCore

/// The control server as the engine's first thread holds it: it lives on the event loop.
final class ControlService: @unchecked Sendable {
    private let eventLoop: any EventLoop
    private var server: ControlServer?

    /// Returns once it serves.
    init(
        _ controller: Controller, _ socket: ControlSocket, _ eventLoop: any EventLoop, version: String
    ) throws(StartError) {
        self.eventLoop = eventLoop
        do {
            try eventLoop.flatSubmit { [self] in
                let server = ControlServer(
                    eventLoop: eventLoop, plane: controller, version: version, access: controller.accessPolicy(socket))
                self.server = server
                controller.control = (server, socket)
                controller.admitGroups(at: socket)
                return server.start(on: socket)
            }.wait()
        } catch {
            throw StartError("control socket \(socket.path): \(error)")
        }
    }

    /// Lets replies that are under way end, removes the socket file and closes everything.
    func stop() {
        try? eventLoop.flatSubmit { [self] in server?.stop() ?? eventLoop.makeSucceededVoidFuture() }.wait()
    }
}

/// Lets the engine's first thread wait for the end without polling.
final class Completion: @unchecked Sendable {
    private let wakeUp: UnsafeMutablePointer<sem_t>

    init() {
        wakeUp = .allocate(capacity: 1)
        wakeUp.initialize(to: sem_t())
        sem_init(wakeUp, 0, 0)
    }

    deinit {
        sem_destroy(wakeUp)
        wakeUp.deallocate()
    }

    func complete() {
        sem_post(wakeUp)
    }

    func wait() {
        while sem_wait(wakeUp) != 0 {}
    }

    /// - Returns: false where it took longer.
    func wait(milliseconds: Int) -> Bool {
        var end = timespec()
        clock_gettime(CLOCK_REALTIME, &end)
        end.tv_nsec += milliseconds % 1000 * 1_000_000
        end.tv_sec += milliseconds / 1000 + end.tv_nsec / 1_000_000_000
        end.tv_nsec %= 1_000_000_000
        while sem_timedwait(wakeUp, &end) != 0 { if errno != EINTR { return false } }
        return true
    }
}

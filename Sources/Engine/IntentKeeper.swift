import Backends
import Control
import Linux
import Logging
import NIOCore

/// What operators have set, on its way to the state directory: hands texts to the writer, and tells those who wait for
/// it what came of theirs. Lives on the control event loop.
final class IntentKeeper: @unchecked Sendable {
    private let writer: IntentWriter
    private let eventLoop: any EventLoop
    private let log: Logger
    private let userName: String
    private let patience: TimeAmount
    private var waiting: [(number: UInt64, promise: EventLoopPromise<String?>)] = []
    /// Why what is set now would not survive a restart; nil: it would, or is being written.
    private(set) var unsaved: String?

    /// - Parameters:
    ///   - userName: whom the daemon runs as.
    ///   - patience: how long a verb waits for the disk.
    init(
        writer: IntentWriter, eventLoop: any EventLoop, log: Logger, userName: String,
        patience: TimeAmount = .seconds(5)
    ) {
        self.writer = writer
        self.eventLoop = eventLoop
        self.log = log
        self.userName = userName
        self.patience = patience
    }

    /// Starts the writer. Once, before anything is saved.
    func start() throws(SystemError) {
        try writer.start { [self] number, failure in
            eventLoop.execute { self.attempted(number, failure) }
        }
    }

    /// Writes all of it down.
    /// - Returns: nil once it is on the disk, or why it is not. Never fails.
    func save(_ intents: [NamedIntent]) -> EventLoopFuture<String?> {
        let promise = eventLoop.makePromise(of: String?.self)
        let number = writer.write(IntentFile.text(of: intents))
        waiting.append((number, promise))
        eventLoop.scheduleTask(in: patience) { [self] in lose(patienceWith: number) }
        return promise.futureResult
    }

    /// Whether a write is under way. While the disk takes its time over it the process cannot end, however it is told to: a
    /// thread that waits for a disk (state D in ps(1)) does not take part.
    var isWriting: Bool { writer.isTrying }

    /// Waits for the writer's end. Not on the control event loop.
    func finish(within limit: Duration) {
        if !writer.finish(within: limit) {
            log.error("the end does not wait for the state file any longer", metadata: ["file": "\(writer.path)"])
        }
    }

    private func attempted(_ number: UInt64, _ failure: SystemError?) {
        settle(upTo: number, failure.map(explain))
        guard let failure else {
            if unsaved != nil {
                log.notice("what operators have set is saved again", metadata: ["file": "\(writer.path)"])
            }
            unsaved = nil
            return
        }
        let reason = explain(failure)
        if reason != unsaved { log.warning("what operators set will not survive a restart: \(reason)") }
        unsaved = reason
    }

    private func lose(patienceWith number: UInt64) {
        guard waiting.contains(where: { $0.number <= number }) else { return }
        let reason = "\(writer.path) is still being written; look at the disk"
        if unsaved == nil { log.warning("what operators set would not survive a restart yet: \(reason)") }
        unsaved = reason
        settle(upTo: number, reason)
    }

    private func settle(upTo number: UInt64, _ outcome: String?) {
        let done = waiting.filter { $0.number <= number }
        waiting.removeAll { $0.number <= number }
        for entry in done { entry.promise.succeed(outcome) }
    }

    private func explain(_ failure: SystemError) -> String {
        switch failure.errno {
        case .noSpace, .quotaExceeded: "\(failure); make room there"
        case .accessDenied, .notPermitted, .readOnly, .noSuchFile:
            "\(failure); make the directory writable for user \(userName), or name another with --state-directory"
        case .tooManyFiles, .tooManyFilesInSystem:
            "\(failure); raise the limit of open files (ulimit -n, LimitNOFILE=, fs.file-max)"
        default: "\(failure); look at the disk"
        }
    }
}

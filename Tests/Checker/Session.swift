import Addressing
import Glibc
import Linux
import Synchronization

/// One run: starts the threads, listens to whoever started the checker, and judges at the end. Belongs to the main thread.
final class Session {
    private let board: Board
    private let end: UInt64
    private let patience: UInt64
    private var input: [UInt8] = []
    private var isReady = false

    /// - Parameters: in seconds; `duration` 0: until told.
    init(_ board: Board, duration: Int, patience: Int) {
        self.board = board
        end = duration == 0 ? .max : Clock.now() + UInt64(duration) * 1_000_000_000
        self.patience = UInt64(patience) * 1_000_000_000
    }

    func run(listeners: [Int32], rate: Int) throws -> Verdict {
        let board = board
        let backends = try Threads.start("backends") {
            Session.play { try BackendLoop(board, listeners: listeners).run() }
            board.backendsDone.store(true, ordering: .releasing)
        }
        let clients = try Threads.start("clients") {
            Session.play { try ClientLoop(board, rate: rate).run() }
            board.clientsDone.store(true, ordering: .releasing)
        }
        obey()
        board.isStopping.store(true, ordering: .relaxed)
        waitForTheEnd()
        Threads.join(clients)
        Threads.join(backends)
        return Verdict(board)
    }

    private static func play(_ body: () throws -> Void) {
        do { try body() } catch {
            Output.error("limpet-checker: \(error)")
            exit(1)
        }
    }

    // MARK: Commands

    private func obey() {
        while Clock.now() < end {
            announceReady()
            var entry = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
            guard poll(&entry, 1, 20) > 0 else { continue }
            var bytes = [UInt8](repeating: 0, count: 4096)
            let count = read(STDIN_FILENO, &bytes, bytes.count)
            if count <= 0 { return }
            input += bytes[..<count]
            while let lineEnd = input.firstIndex(of: 10) {
                let line = String(decoding: input[..<lineEnd], as: UTF8.self)
                input.removeSubrange(...lineEnd)
                if !obey(line.split(separator: " ").map(String.init)) { return }
            }
        }
    }

    private func announceReady() {
        guard !isReady, board.settled.load(ordering: .relaxed) == board.plan.standing,
            board.targets.with({ !$0.isEmpty })
        else { return }
        isReady = true
        Output.line("ready")
    }

    /// False: stop.
    private func obey(_ words: [String]) -> Bool {
        switch words.first {
        case "target":
            let targets = words.dropFirst().compactMap { try? Target($0) }
            board.targets.with { $0 = targets }
        case "churn": board.churn.store(words.dropFirst().first.flatMap { Int($0) } ?? 0, ordering: .relaxed)
        case "mark":
            let gap = board.gap.exchange(0, ordering: .relaxed)
            Output.line("mark \(gap / 1000) \(board.messages.load(ordering: .relaxed))")
        case "stop": return false
        default: Output.error("limpet-checker: unknown command: \(words)")
        }
        return true
    }

    // MARK: The end

    private func waitForTheEnd() {
        var progress = board.progress.load(ordering: .relaxed)
        var since = Clock.now()
        while !board.clientsDone.load(ordering: .acquiring) || !board.backendsDone.load(ordering: .acquiring) {
            usleep(5_000)
            let now = board.progress.load(ordering: .relaxed)
            if now != progress {
                progress = now
                since = Clock.now()
            } else if Clock.now() - since > patience {
                board.isGivenUp.store(true, ordering: .relaxed)
            }
        }
    }
}

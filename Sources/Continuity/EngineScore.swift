internal import CLayout
internal import Forwarding
internal import Linux

/// Lets the engine be the one that ends where the machine has no memory left, and not the keeper: the next engine goes on
/// with the connections, and nobody goes on for the keeper's service manager.
///
/// What an unprivileged process has raised it may lower again, down to where somebody privileged has put it: so the keeper's
/// own value is raised for the moment in which the engine inherits it. For the keeper's only thread.
struct EngineScore {
    /// How much more the engine's is.
    static let step: Int32 = 100

    private let process: UnsafeMutablePointer<limpet_process>

    /// Once per image: notes the value that the daemon was started with, and gives it back to an image that has the engine's:
    /// one that has taken the place of a keeper that had died.
    init(_ region: SharedRegion) {
        process = region.process
        guard process.pointee.oom_adjustment > 0, let score = OOMScore.read(process.pointee.oom_adjustment) else {
            return
        }
        if process.pointee.oom_is_known == 0 {
            process.pointee.oom_base = score
            process.pointee.oom_is_known = 1
        } else if score == engineScore(process.pointee.oom_base) {
            OOMScore.write(process.pointee.oom_adjustment, process.pointee.oom_base)
        }
    }

    /// Calls `clone`, whose child has a higher value than this process.
    func raised<Result, Failure: Error>(_ clone: () throws(Failure) -> Result) throws(Failure) -> Result {
        guard process.pointee.oom_adjustment > 0, let score = OOMScore.read(process.pointee.oom_adjustment),
            OOMScore.write(process.pointee.oom_adjustment, engineScore(score)) == nil
        else { return try clone() }
        defer { OOMScore.write(process.pointee.oom_adjustment, score) }
        return try clone()
    }

    private func engineScore(_ score: Int32) -> Int32 { min(1000, score + EngineScore.step) }
}

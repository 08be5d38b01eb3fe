internal import CLinux
internal import Glibc

/// Processes, by their ids.
public enum Processes {
    /// This process.
    public static var own: Int32 { getpid() }

    /// How a child ended.
    public enum Ending: Sendable, Equatable {
        case exit(Int32)
        case signal(Int32)
    }

    /// Takes the end of a child out of the kernel, without waiting for it; nil: it runs. ECHILD counts as an exit with
    /// status −1: somebody else has seen its end.
    public static func reap(_ child: Int32) -> Ending? {
        var status: Int32 = 0
        var got: pid_t
        repeat { got = waitpid(child, &status, WNOHANG) } while got < 0 && errno == EINTR
        if got == 0 { return nil }
        if got < 0 { return .exit(-1) }
        return status & 0x7f == 0 ? .exit(status >> 8 & 0xff) : .signal(status & 0x7f)
    }

    /// How a child has ended, which stays in the kernel to be taken out later; nil: it runs. ECHILD as in ``reap(_:)``.
    ///
    /// Taking it out makes the kernel forget all that was ever looked up about the process in /proc, which takes 20 ms
    /// where somebody has listed ten thousand descriptors there.
    public static func ending(of child: Int32) -> Ending? {
        var status: Int32 = 0
        var isSignal: Int32 = 0
        let ended = limpet_look_at_ended(child, &status, &isSignal)
        if ended == 0 { return nil }
        if ended < 0 { return .exit(-1) }
        return isSignal != 0 ? .signal(status) : .exit(status)
    }

    /// Takes the ends of all children out of the kernel but that of one, up to the first time that this is what is found.
    public static func reapAll(but child: Int32) {
        var status: Int32 = 0
        var isSignal: Int32 = 0
        while true {
            let ended = limpet_look_at_ended(0, &status, &isSignal)
            if ended <= 0 || ended == child || reap(ended) == nil { return }
        }
    }

    /// Ends this process as it is: no buffers are written, nothing is called that was to be called at its end.
    public static func endAtOnce(_ status: Int32) -> Never {
        _exit(status)
    }

    /// Waits for the end of a child that cannot be far.
    public static func waitForEnd(_ child: Int32) -> Ending {
        while true {
            if let ending = reap(child) { return ending }
            usleep(500)
        }
    }

    /// The environment, each as `NAME=value`.
    public static var environment: [String] {
        var variables: [String] = []
        var position = 0
        while let variable = environ[position] {
            variables.append(String(cString: variable))
            position += 1
        }
        return variables
    }
}

/// Texts as an exec takes them: pointers to C strings, with NULL behind the last.
public struct CStringArray {
    private let texts: [String]

    public init(_ texts: [String]) {
        self.texts = texts
    }

    /// Calls `body` with the array, which lives as long as the call.
    public func with<Result>(_ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> Result) -> Result {
        var pointers: [UnsafeMutablePointer<CChar>?] = texts.map { strdup($0) }
        pointers.append(nil)
        defer { for pointer in pointers { free(pointer) } }
        return pointers.withUnsafeBufferPointer { body($0.baseAddress!) }
    }
}

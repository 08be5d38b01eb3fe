internal import Glibc

/// Descriptors 0, 1 and 2, which a program may be started without.
public enum StandardStreams {
    /// Puts something harmless wherever one of the three is closed. Otherwise the next socket would get that number, and
    /// what is meant for the log would be written to a client. Reading from a stream that is put there, and writing to
    /// it, fails with EBADF as it would have done without. Call it before anything is opened.
    public static func reserve() {
        for descriptor: Int32 in 0...2 where fcntl(descriptor, F_GETFD) < 0 {
            // open(2) takes the lowest number that is free, which is this one: those below have just been seen to.
            _ = open("/dev/null", descriptor == 0 ? O_WRONLY : O_RDONLY)
        }
    }
}

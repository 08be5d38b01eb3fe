import CLinux
import Glibc

/// An error number of the C library, see errno(3).
public struct Errno: Error, Equatable, Hashable, Sendable, RawRepresentable {
    public let rawValue: Int32

    @inlinable public init(rawValue: Int32) {
        self.rawValue = rawValue
    }

    /// errno of the calling thread. Read it on the line after the call that failed, nowhere else.
    public static var last: Errno { Errno(rawValue: errno) }

    /// EAGAIN: the call would have to wait.
    public static let wouldBlock = Errno(rawValue: EAGAIN)
    /// EINTR: a signal came first.
    public static let interrupted = Errno(rawValue: EINTR)
    /// EINPROGRESS: a connect was started and will be reported by epoll.
    public static let inProgress = Errno(rawValue: EINPROGRESS)
    /// EPIPE: the peer, or we, had already closed this direction.
    public static let brokenPipe = Errno(rawValue: EPIPE)
    /// ECONNRESET: the peer sent RST.
    public static let connectionReset = Errno(rawValue: ECONNRESET)
    /// ECONNABORTED: the connection was gone before it was accepted.
    public static let connectionAborted = Errno(rawValue: ECONNABORTED)
    /// ECONNREFUSED: nobody listens there.
    public static let connectionRefused = Errno(rawValue: ECONNREFUSED)
    /// ETIMEDOUT: keepalive, TCP_USER_TIMEOUT or the handshake gave up.
    public static let timedOut = Errno(rawValue: ETIMEDOUT)
    /// ENETUNREACH: no route.
    public static let networkUnreachable = Errno(rawValue: ENETUNREACH)
    /// EHOSTUNREACH: a router said that the host cannot be reached.
    public static let hostUnreachable = Errno(rawValue: EHOSTUNREACH)
    /// EMFILE: this process has no descriptor left.
    public static let tooManyFiles = Errno(rawValue: EMFILE)
    /// ENFILE: the system has no descriptor left.
    public static let tooManyFilesInSystem = Errno(rawValue: ENFILE)
    /// ENOBUFS: no memory for socket buffers.
    public static let noBufferSpace = Errno(rawValue: ENOBUFS)
    /// ENOMEM: no memory.
    public static let noMemory = Errno(rawValue: ENOMEM)
    /// ENOSPC: no room; from epoll_ctl(2): the user watches as many descriptors as fs.epoll.max_user_watches allows.
    public static let noSpace = Errno(rawValue: ENOSPC)
    /// EADDRNOTAVAIL: not our address; for a connect: no local port is left.
    public static let addressNotAvailable = Errno(rawValue: EADDRNOTAVAIL)
    /// EADDRINUSE: somebody else listens there.
    public static let addressInUse = Errno(rawValue: EADDRINUSE)
    /// ESTALE: a file is not the one any more that it was.
    public static let stale = Errno(rawValue: ESTALE)
    /// ENODEV: no such network interface.
    public static let noSuchDevice = Errno(rawValue: ENODEV)
    /// EACCES: not allowed.
    public static let accessDenied = Errno(rawValue: EACCES)
    /// EPERM: not allowed without a capability.
    public static let notPermitted = Errno(rawValue: EPERM)
    /// ENOENT: no such file.
    public static let noSuchFile = Errno(rawValue: ENOENT)
    /// ENOTDIR: a part of the path that should be a directory is none.
    public static let notADirectory = Errno(rawValue: ENOTDIR)
    /// ELOOP: too many symbolic links.
    public static let tooManyLinks = Errno(rawValue: ELOOP)
    /// EEXIST: it exists already.
    public static let exists = Errno(rawValue: EEXIST)
    /// ENOEXEC: a file that is no program.
    public static let notExecutable = Errno(rawValue: ENOEXEC)
    /// ETXTBSY: a program that is being written.
    public static let busy = Errno(rawValue: ETXTBSY)
    /// EFBIG: larger than is taken.
    public static let fileTooLarge = Errno(rawValue: EFBIG)
    /// EROFS: on a file system that takes no writes.
    public static let readOnly = Errno(rawValue: EROFS)
    /// EDQUOT: past the user's quota.
    public static let quotaExceeded = Errno(rawValue: EDQUOT)
    /// ENXIO: from lseek(2): there is no data behind this.
    public static let noSuchAddress = Errno(rawValue: ENXIO)
    /// EINVAL: not what the call takes.
    public static let invalidArgument = Errno(rawValue: EINVAL)
    /// EOPNOTSUPP: this kind of file, socket or file system has nothing of the kind.
    public static let notSupported = Errno(rawValue: EOPNOTSUPP)

    /// EBADF: no descriptor of this process.
    public static let badDescriptor = Errno(rawValue: EBADF)
    /// ENOTSOCK: a descriptor of something else than a socket.
    public static let notSocket = Errno(rawValue: ENOTSOCK)

    /// True for what is a lack of this machine and says nothing about the peer.
    public var isLocal: Bool {
        switch rawValue {
        case EMFILE, ENFILE, ENOBUFS, ENOMEM, ENOSPC, EADDRNOTAVAIL, EACCES, EPERM, EAFNOSUPPORT, EADDRINUSE, EAGAIN,
            ENODEV:
            true
        default: false
        }
    }

    /// The symbol, as in "ECONNREFUSED"; "errno 999" for a number without one here.
    public var name: String {
        Errno.names[rawValue] ?? "errno \(rawValue)"
    }

    private static let names: [Int32: String] = [
        EPERM: "EPERM", ENOENT: "ENOENT", ENXIO: "ENXIO", ENOEXEC: "ENOEXEC", ETXTBSY: "ETXTBSY", EINTR: "EINTR",
        EIO: "EIO", EBADF: "EBADF", EAGAIN: "EAGAIN",
        ENOMEM: "ENOMEM", EACCES: "EACCES", EEXIST: "EEXIST", ENOTDIR: "ENOTDIR", EISDIR: "EISDIR",
        EINVAL: "EINVAL", ENFILE: "ENFILE", EMFILE: "EMFILE", ENOSPC: "ENOSPC", EROFS: "EROFS", EPIPE: "EPIPE",
        ENAMETOOLONG: "ENAMETOOLONG", EADDRINUSE: "EADDRINUSE", EADDRNOTAVAIL: "EADDRNOTAVAIL",
        EAFNOSUPPORT: "EAFNOSUPPORT", ENETUNREACH: "ENETUNREACH", ECONNABORTED: "ECONNABORTED",
        ECONNRESET: "ECONNRESET", ENOBUFS: "ENOBUFS", ENOTCONN: "ENOTCONN", ETIMEDOUT: "ETIMEDOUT",
        ECONNREFUSED: "ECONNREFUSED", EHOSTUNREACH: "EHOSTUNREACH", EHOSTDOWN: "EHOSTDOWN",
        EFBIG: "EFBIG", ELOOP: "ELOOP", EDQUOT: "EDQUOT", EINPROGRESS: "EINPROGRESS", EPROTO: "EPROTO",
        ENETDOWN: "ENETDOWN", ENODEV: "ENODEV", EOPNOTSUPP: "EOPNOTSUPP",
    ]
}

extension Errno: CustomStringConvertible {
    /// The C library's text and the symbol: "Connection refused (ECONNREFUSED)".
    public var description: String {
        "\(String(cString: strerror(rawValue))) (\(name))"
    }
}

/// A system call's failure together with what was being done to what.
public struct SystemError: Error, Sendable, CustomStringConvertible {
    /// What was tried, as a verb phrase with its object: "listen on 127.0.0.1:80".
    public let action: String
    public let errno: Errno

    public init(_ action: String, _ errno: Errno) {
        self.action = action
        self.errno = errno
    }

    public var description: String { "cannot \(action): \(errno)" }
}

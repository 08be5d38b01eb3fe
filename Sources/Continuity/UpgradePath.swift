internal import Glibc
internal import Linux

/// The way to an executable that the daemon is to become, and who could have had a hand in it.
///
/// Whoever can change the file, or put another in its place, decides what runs with every client's bytes. So the path is
/// walked one name at a time, each held by its inode, links followed by hand; every directory passed and the file itself
/// must belong to somebody who is trusted and be out of reach of everybody else. What comes out is the inode that was
/// looked at: it is asked by its descriptor (the canary) and executed by it, whatever the path means by then.
public enum UpgradePath {
    /// As the kernel's own limit, see path_resolution(7).
    private static let maximumLinks = 40

    /// Opens the executable.
    /// - Parameters:
    ///   - path: absolute.
    ///   - trusted: the users who may own it and the directories above it: root, and where an ordinary user has started
    ///     the daemon, that one too.
    /// - Returns: a descriptor for execveat(2), close-on-exec; whoever gets it closes it.
    public static func open(_ path: String, trusted: Set<UInt32>) throws(UpgradeRefusal) -> Int32 {
        guard path.hasPrefix("/") else { throw UpgradeRefusal("\(path): the path must be absolute") }
        guard !path.utf8.contains(0) else { throw UpgradeRefusal("the path holds a NUL") }
        var walk = Walk(from: try Place.root(), to: path, trusted: trusted)
        try walk.check()
        while let name = walk.left.popLast() { try walk.step(name) }
        return try walk.finish()
    }

    /// A walk under way. What it stands on is the file system's root at first.
    private struct Walk: ~Copyable {
        let trusted: Set<UInt32>
        let asked: String
        /// Names still to be walked, the next one last.
        var left: [String]
        private var here: Place
        /// Path of `here`, with no link in it.
        private var place = "/"
        private var links = 0

        init(from root: consuming Place, to path: String, trusted: Set<UInt32>) {
            here = root
            asked = path
            left = Walk.names(path)
            self.trusted = trusted
        }

        private static func names(_ path: String) -> [String] {
            path.split(separator: "/").map(String.init).reversed()
        }

        mutating func step(_ name: String) throws(UpgradeRefusal) {
            if name == "." { return }
            guard here.entry.kind == .directory else { throw UpgradeRefusal("\(place): it is no directory") }
            let next: Place
            let path = Walk.joined(place, name)
            do throws(Errno) {
                next = try Place(try PinnedFile(name: name, in: here.file))
            } catch .noSuchFile {
                throw UpgradeRefusal("\(path): there is no such file")
            } catch {
                throw UpgradeRefusal("\(path): \(error); the user that limpetd runs as must be able to get at it")
            }
            if next.entry.kind == .link {
                try follow(next, path)
                return
            }
            here = next
            place = path
            try check()
        }

        private mutating func follow(_ link: borrowing Place, _ path: String) throws(UpgradeRefusal) {
            links += 1
            guard links <= maximumLinks else { throw UpgradeRefusal("\(asked): too many symbolic links") }
            // In a directory such as /tmp anybody can make one, and lead to any program of root's.
            guard trusted.contains(link.entry.uid) else { throw refusalOfOwner(link.entry, path) }
            do throws(Errno) {
                let target = try link.file.target().get()
                left += Walk.names(target)
                guard target.hasPrefix("/") else { return }
            } catch {
                throw UpgradeRefusal("\(path): \(error)")
            }
            here = try Place.root()
            place = "/"
        }

        /// Whether somebody who is not trusted could change what the walk stands on.
        func check() throws(UpgradeRefusal) {
            let entry = here.entry
            guard entry.kind == .directory || entry.kind == .regular else {
                throw UpgradeRefusal("\(place): it is no regular file")
            }
            guard trusted.contains(entry.uid) else { throw refusalOfOwner(entry, place) }
            // In a sticky directory nobody can move or remove what is not theirs, and what is below belongs to the trusted.
            if entry.kind == .directory && entry.permissions & 0o1000 != 0 { return }
            let isForGroup = entry.permissions & 0o020 != 0 && entry.gid != 0
            guard !isForGroup && entry.permissions & 0o002 == 0 else {
                throw UpgradeRefusal(
                    "\(place): \(isForGroup ? "its group" : "everybody") may write to it, so it can be exchanged by others"
                        + " than root; take that away (chmod go-w)")
            }
        }

        private func refusalOfOwner(_ entry: PathEntry, _ path: String) -> UpgradeRefusal {
            let name = Account.numbered(entry.uid).map { "user \($0.name)" } ?? "user \(entry.uid)"
            return UpgradeRefusal(
                "\(path): it belongs to \(name) and not to root; give it to root (chown root), or install it elsewhere")
        }

        consuming func finish() throws(UpgradeRefusal) -> Int32 {
            guard here.entry.kind == .regular else { throw UpgradeRefusal("\(place): it is no regular file") }
            guard here.entry.permissions & 0o111 != 0 else {
                throw UpgradeRefusal("\(place): it is not executable (chmod a+x)")
            }
            return here.take()
        }

        private static func joined(_ place: String, _ name: String) -> String {
            if name == ".." { return "/" + place.split(separator: "/").dropLast().joined(separator: "/") }
            return place == "/" ? "/" + name : place + "/" + name
        }
    }

    /// Something that the walk stands on: held, and looked at once.
    private struct Place: ~Copyable {
        let file: PinnedFile
        let entry: PathEntry

        init(_ file: consuming PinnedFile) throws(Errno) {
            entry = try file.look().get()
            self.file = file
        }

        static func root() throws(UpgradeRefusal) -> Place {
            do throws(Errno) {
                return try Place(try PinnedFile(path: "/"))
            } catch {
                throw UpgradeRefusal("/: \(error)")
            }
        }

        consuming func take() -> Int32 { file.take() }
    }
}

/// Why an upgrade was refused, in words that name the place and the cure. Nothing has changed.
public struct UpgradeRefusal: Error, Sendable, Equatable, CustomStringConvertible {
    public let description: String

    public init(_ description: String) {
        self.description = description
    }
}

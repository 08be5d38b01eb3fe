import Linux

/// The directory of what outlives the process, and the lock that keeps a second daemon out of it.
struct StateDirectory: Sendable {
    let path: String
    let lock: FileLock

    /// Makes the directory (0700, and its parents 0755) where it is missing, gives it to `owner`, and locks it.
    init(path: String, owner: (user: UInt32, group: UInt32)?) throws(StartError) {
        self.path = path
        try StateDirectory.make(path, owner: owner)
        let lockPath = path + "/lock"
        do throws(Errno) {
            lock = try FileLock(path: lockPath, owner: owner)
        } catch .wouldBlock {
            throw StartError(
                "state directory \(path): another limpetd uses it; end that one, or name another with --state-directory"
            )
        } catch {
            throw StartError(
                "state directory \(path): cannot open \(lockPath): \(error); name a directory that this user may write to"
                    + " with --state-directory")
        }
        if let owner { StateDirectory.give(IntentRestore.path(in: path), to: owner) }
    }

    /// Gives the file of what operators have set to `owner`: another may have written it. As with the lock, one that has
    /// another name somewhere stays whose it is.
    private static func give(_ path: String, to owner: (user: UInt32, group: UInt32)) {
        guard let file = try? PinnedFile(path: path), case .success(let entry) = file.look(),
            entry.kind == .regular, entry.linkCount == 1
        else { return }
        // What cannot be given away the owner will find unreadable, and say so.
        _ = file.changeOwner(uid: owner.user, gid: owner.group)
    }

    private static func make(_ path: String, owner: (user: UInt32, group: UInt32)?) throws(StartError) {
        if case .success = PathEntry.look(at: path) { return }
        var prefix = ""
        let parts = path.split(separator: "/", omittingEmptySubsequences: true)
        for (index, part) in parts.enumerated() {
            prefix += (index == 0 && !path.hasPrefix("/") ? "" : "/") + part
            let isLast = index == parts.count - 1
            guard let error = PathEntry.makeDirectory(prefix, permissions: isLast ? 0o700 : 0o755) else { continue }
            if error == .exists { continue }
            throw StartError(
                "state directory \(path): cannot make \(prefix): \(error); name a directory that this user may write to with"
                    + " --state-directory")
        }
        guard let owner else { return }
        do throws(Errno) {
            let made = try PinnedFile(path: path)
            let entry = try made.look().get()
            guard entry.kind == .directory, entry.uid == Account.effectiveUID else { throw .exists }
            if let error = made.changeOwner(uid: owner.user, gid: owner.group) { throw error }
        } catch {
            throw StartError("state directory \(path): cannot give it to user \(owner.user): \(error)")
        }
    }
}

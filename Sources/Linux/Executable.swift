internal import CLinux
internal import Glibc

/// The program that a process runs, as a descriptor: what is executed through it is this very file, whatever its path has
/// come to mean.
public enum Executable {
    /// That of this process; nil where /proc is not there. Not close-on-exec.
    public static func openOwn() -> Int32? {
        let descriptor = open("/proc/self/exe", Int32(LIMPET_O_PATH))
        return descriptor < 0 ? nil : descriptor
    }
}

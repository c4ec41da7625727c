//! Ports for the processes of a test.

use std::fs::{File, OpenOptions};
use std::net::TcpListener;
use std::path::Path;

/// Below what the kernel hands out by itself (32768 and up): no outgoing connection, and no listener
/// on port 0, takes one of these between a server's end and its next start.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// A TCP port of loopback on which nothing listens, for this process until it ends.
///
/// Other tests that ask here get others: a locked file in the temporary folder stands for each port.
///
/// # Panics
///
/// If none is left, or the temporary folder cannot be written.
pub fn free_port() -> u16 {
    let folder = std::env::temp_dir().join("gatehouse-test-ports");
    std::fs::create_dir_all(&folder).expect("the temporary folder can be written");
    // Tests that run at the same time begin their search at different places.
    let start = std::process::id().wrapping_mul(61) % u32::from(COUNT);
    let ports = (0..u32::from(COUNT)).map(|step| (start + step) % u32::from(COUNT));
    let mut ports = ports.filter_map(|offset| u16::try_from(offset).ok()).map(|at| FIRST + at);
    let found = ports.find_map(|port| Some((port, reserve(&folder, port)?)));
    let (port, lock) = found.expect("one of the ports is free");
    // The kernel lets go of it when the process ends.
    std::mem::forget(lock);
    port
}

fn reserve(folder: &Path, port: u16) -> Option<File> {
    let path = folder.join(port.to_string());
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(path).ok()?;
    file.try_lock().ok()?;
    TcpListener::bind(("127.0.0.1", port)).is_ok().then_some(file)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    #[test]
    fn a_port_is_given_once_though_nothing_listens_on_it() {
        let ports: HashSet<u16> = (0..50).map(|_| super::free_port()).collect();
        assert_eq!(ports.len(), 50);
        let kernel = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap();
        let first: u16 = kernel.split_whitespace().next().unwrap().parse().unwrap();
        assert!(ports.iter().all(|port| *port < first), "{ports:?}");
    }
}

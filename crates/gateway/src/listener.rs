//! Accepting connections while there is room for them.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::connection::Door;
use crate::inner::Counted;

/// Accepts connections while there is room for them.
pub(crate) async fn accept(listener: TcpListener, door: Door, room: Arc<Semaphore>) {
    let gateway = door.gateway.clone();
    let stop = gateway.stop.child_token();
    loop {
        let permit = tokio::select! {
            permit = room.clone().acquire_owned() => permit,
            () = stop.cancelled() => return,
        };
        let Ok(permit) = permit else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let live = gateway.live.load();
        let edge = &live.config.edge;
        let ip = peer.ip().to_canonical();
        // Many callers come from a proxy.
        let is_proxy = edge.trusted_proxies.iter().any(|network| network.contains(&ip));
        let max = if is_proxy { u32::MAX } else { edge.connections_per_address_max };
        let Some(entered) = gateway.peers.enter(ip, max) else {
            gateway.counters.connection_refused();
            continue;
        };
        // A chunk of an answer must not wait for the acknowledgement of the one before.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%peer, %error, "TCP_NODELAY was refused");
        }
        let counted = Counted::new(&gateway.counters.connections);
        let door = door.clone();
        gateway.doors.spawn(async move {
            // Made here: what is made outside and awaited inside takes its room twice.
            door.serve(stream, peer).await;
            drop((permit, counted, entered));
        });
    }
}

package postgres

import (
	"net"
	"time"
)

// dialer makes connections that end when the other machine is gone without a word: what
// is sent must be received within unreceivedTimeout, and who waits in silence asks for a
// sign of life.
var dialer = &net.Dialer{
	KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3},
	Control:         limitUnreceived,
}

// unreceivedTimeout bounds how long sent bytes may stay without a confirmation.
const unreceivedTimeout = 20 * time.Second

package bench

import "fmt"

// Shortage is a limit of this machine that a plan exceeds.
type Shortage struct {
	What string
	Need int
	Have int
	Fix  string // what to type
}

func (s *Shortage) Error() string {
	return fmt.Sprintf("%d %s are needed, and the limit is %d", s.Need, s.What, s.Have)
}

// spareFiles are descriptors beside those of connections.
const spareFiles = 64

// CheckLimits compares a number of connections with what this machine allows.
// own tells that the broker runs in this process, too. spread tells that source
// addresses can be spread, so that ports are no limit.
func CheckLimits(connections int, own, spread bool) error {
	need := connections + spareFiles
	if own {
		need += connections
	}
	if have := maxFiles(); have > 0 && have < need {
		return &Shortage{"open files", need, have, fmt.Sprintf("ulimit -n %d", need)}
	}
	if have := localPorts(); !spread && have > 0 && have < connections {
		return &Shortage{"local ports", connections, have, `sysctl -w net.ipv4.ip_local_port_range="1024 65535"`}
	}
	return nil
}

//go:build !linux

package transport

import "net"

func newPacketSocket(udp *net.UDPConn) (packetSocket, error) { return &singlePackets{udp: udp}, nil }

// kernelDrops is unknown here.
func kernelDrops(*net.UDPConn) (uint64, bool) { return 0, false }

// enlarge passes no limit here.
func enlarge(*net.UDPConn, int) {}

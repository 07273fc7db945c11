//go:build !linux

package transport

import "net"

func newPacketSocket(udp *net.UDPConn) (packetSocket, error) { return &singlePackets{udp: udp}, nil }

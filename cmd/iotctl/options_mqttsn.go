package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	codec "github.com/iotctl/iotctl/internal/codec/mqttsn"
)

// groupSN is what help lists the options of mqttsn:// under.
const groupSN = "MQTT-SN"

// snSettings are of mqttsn:// alone.
type snSettings struct {
	names     map[uint16]string // of predefined topics
	short     bool
	longNames bool
	sleep     time.Duration
	wakeEvery time.Duration
	discover  bool
	search    []string // interfaces
	radius    int
	forwarded bool
	node      []byte
	retry     time.Duration
	retries   int
	retrySet  bool
	congested time.Duration
	pskFile   string
}

// snOptions mean something with mqttsn:// and mqttsns:// only.
func snOptions() []option {
	const devices = progPub | progSub
	opt := func(long, arg, help string, progs program, set func(*settings, string) error) option {
		return option{long: long, arg: arg, help: help, progs: progs, names: ownName, group: groupSN, set: set}
	}
	all := []option{
		opt("predefined", "id[=topic]", "publish or subscribe to the predefined topic with this number; behind = what to call it", devices, setPredefined),
		opt("short", "", "topics of two bytes go as they are, without a registration", devices, func(s *settings, _ string) error { s.sn.short = true; return nil }),
		opt("long-names", "", "with -q -1, send topics by name: no part of MQTT-SN 1.2, but known to some gateways", progPub, func(s *settings, _ string) error { s.sn.longNames = true; return nil }),
		opt("sleep", "time", "go to sleep, for so long as the gateway is told", progSub, func(s *settings, v string) (err error) { s.sn.sleep, err = s.duration(v); return }),
		opt("wake-every", "time", "with --sleep, ask for messages this often (default half of --sleep)", progSub, func(s *settings, v string) (err error) { s.sn.wakeEvery, err = s.duration(v); return }),
		opt("discover", "", "ask the multicast group, or the host, of the URL for a gateway (default 225.1.1.1:1883)", devices, func(s *settings, _ string) error { s.sn.discover = true; return nil }),
		opt("interface", "name", "with --discover, ask on this network interface; repeatable (default all)", devices, func(s *settings, v string) error { s.sn.search = append(s.sn.search, v); return nil }),
		opt("radius", "hops", "with --discover, how far to ask, 0 is everywhere (default 1)", devices, setRadius),
		opt("forwarder-node", "hex", "speak as the node with this identifier behind a forwarder", devices, setNode),
		opt("retry", "time", "repeat what is not answered after this time (default 10s)", devices, setRetry),
		opt("wait-congestion", "time", "a gateway that is congested is asked again after this time (default: its answer is final)", devices, func(s *settings, v string) (err error) { s.sn.congested, err = s.duration(v); return }),
		opt("retries", "n", "repeat it this often, then the gateway is lost (default 4)", devices, setRetries),
	}
	psk := opt("psk-file", "file", "read the pre-shared key of mqttsns:// from the first line of this file, as in KEY or IDENTITY:KEY", devices, func(s *settings, v string) error { s.sn.pskFile = v; return nil })
	psk.group = groupTLS
	return append(all, psk)
}

func setPredefined(s *settings, v string) error {
	digits, name, named := strings.Cut(v, "=")
	id, err := strconv.ParseUint(digits, 0, 16)
	if err != nil || id == 0 || id == 0xffff {
		return fmt.Errorf("%q: a predefined topic has a number from 1 to 65534", digits)
	}
	switch {
	case !named:
		s.topics = append(s.topics, fmt.Sprintf("#%d", id))
		return nil
	case !validName(name):
		return fmt.Errorf("%q is no topic", name)
	}
	for other, n := range s.sn.names {
		if n == name && other != uint16(id) {
			return fmt.Errorf("%q is %d and %d", name, other, id)
		}
	}
	if s.sn.names == nil {
		s.sn.names = map[uint16]string{}
	}
	s.sn.names[uint16(id)] = name
	s.topics = append(s.topics, name)
	return nil
}

func setRadius(s *settings, v string) error {
	n, err := strconv.ParseUint(v, 10, 8)
	if err != nil {
		return fmt.Errorf("%q: must be a number up to 255", v)
	}
	s.sn.radius = int(n)
	return nil
}

func setNode(s *settings, v string) error {
	b, err := hex.DecodeString(v)
	if err != nil {
		return fmt.Errorf("%q: must be bytes in hexadecimal digits, as in 0a1b", v)
	}
	if len(b) > codec.MaxNodeID {
		return fmt.Errorf("%d bytes: at most %d", len(b), codec.MaxNodeID)
	}
	s.sn.forwarded, s.sn.node = true, b
	return nil
}

func setRetry(s *settings, v string) (err error) {
	if s.sn.retry, err = s.duration(v); err == nil && s.sn.retry < time.Millisecond {
		err = errors.New("must be at least 1ms")
	}
	return err
}

func setRetries(s *settings, v string) error {
	n, err := strconv.ParseUint(v, 10, 16)
	if err != nil {
		return fmt.Errorf("%q: must be a number, 0 is never", v)
	}
	s.sn.retries, s.sn.retrySet = int(n), true
	return nil
}

package pairing

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/iotctl/iotctl/internal/auth"
)

// The file is JSON of version, with an object for every remembered device. It
// and the file of the key are written whole and renamed, and belong to their
// owner alone.
const version = 1

// maxFileBytes is well above what maxApproved devices take.
const maxFileBytes = 64 << 20

const keyBytes = 32

type record struct {
	Code        string     `json:"code"`
	State       State      `json:"state"`
	Client      string     `json:"client"`
	Listener    string     `json:"listener"`
	Protocol    string     `json:"protocol,omitempty"`
	Address     netip.Addr `json:"address,omitzero"`
	Proof       Proof      `json:"proof"`
	Fingerprint string     `json:"fingerprint,omitempty"`
	Username    *string    `json:"username,omitempty"`
	Salt        []byte     `json:"salt,omitempty"`
	Hash        []byte     `json:"hash,omitempty"`
	Name        string     `json:"name,omitempty"`
	Until       time.Time  `json:"until,omitzero"`
	First       time.Time  `json:"first"`
	Last        time.Time  `json:"last"`
	Tries       int        `json:"tries"`
}

type document struct {
	Version int      `json:"version"`
	Devices []record `json:"devices"`
}

// documentOf copies entries. Called with desk.mu held.
func documentOf(all []*entry) document {
	doc := document{Version: version, Devices: make([]record, len(all))}
	for i, e := range all {
		r := record{
			Code: e.code, State: e.state, Client: e.client, Listener: e.listener, Protocol: e.protocol, Address: e.addr,
			Proof: e.proof, Fingerprint: e.fingerprint, Salt: e.salt, Hash: e.hash, Name: e.name,
			Until: e.until, First: e.first, Last: e.last, Tries: e.tries,
		}
		if e.hasUsername {
			r.Username = &e.username
		}
		doc.Devices[i] = r
	}
	return doc
}

func (d document) encode() ([]byte, error) {
	text, err := json.MarshalIndent(d, "", " ")
	return append(text, '\n'), err
}

// decode reads what document.encode has written, and nothing else.
func decode(text []byte) ([]*entry, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	var doc document
	var v struct{ Version int }
	if err := json.Unmarshal(text, &v); err != nil {
		return nil, err
	}
	if v.Version != version {
		return nil, fmt.Errorf("version %d, and this program reads version %d", v.Version, version)
	}
	dec.DisallowUnknownFields()
	if err := dec.Decode(&doc); err != nil {
		return nil, err
	}
	codes, approved := map[string]bool{}, map[device]bool{}
	all := make([]*entry, len(doc.Devices))
	for i, r := range doc.Devices {
		e, err := r.entry()
		switch {
		case err != nil:
		case codes[r.Code]:
			err = errors.New("the code is there twice")
		case e.state == Approved && approved[e.device]:
			err = errors.New("the device is approved twice")
		}
		if err != nil {
			return nil, fmt.Errorf("device %d, code %q: %w", i+1, r.Code, err)
		}
		codes[r.Code] = true
		approved[e.device] = approved[e.device] || e.state == Approved
		all[i] = e
	}
	return all, nil
}

func (r *record) entry() (*entry, error) {
	e := &entry{
		candidate: candidate{device: device{r.Listener, r.Client}, proof: r.Proof, fingerprint: r.Fingerprint},
		code:      r.Code, state: r.State, salt: r.Salt, hash: r.Hash, name: r.Name, until: r.Until,
		protocol: r.Protocol, addr: r.Address, first: r.First, last: r.Last, tries: r.Tries,
	}
	if r.Username != nil {
		e.hasUsername, e.username = true, *r.Username
	}
	fingerprint, err := hex.DecodeString(r.Fingerprint)
	sound := map[Proof]bool{
		Key:    err == nil && len(fingerprint) == sha256.Size,
		Secret: len(r.Salt) == saltBytes && len(r.Hash) == sha256.Size,
		Bare:   true,
	}
	switch {
	case !IsCode(r.Code):
		return nil, errors.New("this is no code")
	case r.Client == "" || len(r.Client) > maxNameBytes || !utf8.ValidString(r.Client):
		return nil, errors.New("client: not text of 1 to 256 bytes")
	case r.State != Approved && r.State != Rejected:
		return nil, fmt.Errorf("state: %v", r.State)
	case (r.State == Approved) != (r.Name != ""):
		return nil, errors.New("name: for approved devices and for them alone")
	case !sound[r.Proof]:
		return nil, errors.New("proof: fingerprint, or salt and hash, do not fit")
	}
	return e, nil
}

// file is where devices are remembered. Without a path it is nowhere.
type file struct {
	path   string
	hasKey bool // the file of the key is there
}

// load reads both files. Without any it makes a key, which save writes.
func (f *file) load() ([]*entry, []byte, error) {
	key := make([]byte, keyBytes)
	rand.Read(key) // never fails
	if f.path == "" {
		return nil, key, nil
	}
	switch text, err := readFile(f.path + ".key"); {
	case err == nil:
		if key, err = base64.StdEncoding.DecodeString(string(bytes.TrimSpace(text))); err != nil || len(key) != keyBytes {
			return nil, nil, fmt.Errorf("%s.key is no key of %d bytes in base64", f.path, keyBytes)
		}
		f.hasKey = true
	case !errors.Is(err, fs.ErrNotExist):
		return nil, nil, err
	}
	text, err := readFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, key, nil
	}
	if err != nil {
		return nil, nil, err
	}
	all, err := decode(text)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", f.path, err)
	}
	for _, e := range all {
		if e.proof == Secret && !f.hasKey {
			return nil, nil, fmt.Errorf("%s.key is missing, and %s has devices whose secrets cannot be checked without", f.path, f.path)
		}
	}
	return all, key, nil
}

// prepare returns what writes entries, and first the key if it is a new one.
// Called with desk.mu held, which the writing does without.
func (f *file) prepare(all []*entry, key []byte) (write func() error) {
	if f.path == "" {
		return func() error { return nil }
	}
	slices.SortFunc(all, func(a, b *entry) int { return cmp.Compare(a.seq, b.seq) })
	doc := documentOf(all)
	return func() error {
		text, err := doc.encode()
		if err != nil {
			return err
		}
		if !f.hasKey {
			if err := replace(f.path+".key", append(base64.StdEncoding.AppendEncode(nil, key), '\n')); err != nil {
				return err
			}
			f.hasKey = true
		}
		return replace(f.path, text)
	}
}

func readFile(name string) ([]byte, error) {
	r, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	text, err := io.ReadAll(io.LimitReader(r, maxFileBytes+1))
	if err == nil && len(text) > maxFileBytes {
		err = fmt.Errorf("%s: more than %d bytes", name, maxFileBytes)
	}
	return text, err
}

// replace writes a file anew, its name included.
func replace(name string, text []byte) error {
	if err := auth.ReplaceFile(name, text, nil); err != nil {
		return err
	}
	return syncDir(filepath.Dir(name))
}

// syncDir puts the new name on disk, where the system can.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

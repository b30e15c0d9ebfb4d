// log-judge reads a log with the libraries of Go's checksum database, and believes nothing else:
// the checkpoint is opened by sumdb/note, and every hash and every proof is checked by sumdb/tlog
// over a tile reader that only maps its paths to those of C2SP tlog-tiles.
//
// Usage: log-judge PREFIX NAME KEY.pem
// Prints one JSON object; ends with 1 and a reason where something does not hold.
package main

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const tileHeight = 8

func main() {
	if len(os.Args) != 4 {
		fatal(fmt.Errorf("usage: log-judge PREFIX NAME KEY.pem"))
	}
	verifier, err := p256(os.Args[2], os.Args[3])
	if err != nil {
		fatal(err)
	}
	tree, err := judge(strings.TrimSuffix(os.Args[1], "/"), verifier)
	if err != nil {
		fatal(err)
	}
	_ = json.NewEncoder(os.Stdout).Encode(map[string]any{
		"size": tree.N, "root": base64.StdEncoding.EncodeToString(tree.Hash[:]),
	})
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// verifierP256 is a note.Verifier for ECDSA P-256, with the key hash that Rekor gives it.
type verifierP256 struct {
	name string
	hash uint32
	key  *ecdsa.PublicKey
}

func (v *verifierP256) Name() string    { return v.name }
func (v *verifierP256) KeyHash() uint32 { return v.hash }
func (v *verifierP256) Verify(msg, sig []byte) bool {
	digest := sha256.Sum256(msg)
	return ecdsa.VerifyASN1(v.key, digest[:], sig)
}

func p256(name, file string) (note.Verifier, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(content)
	if block == nil {
		return nil, fmt.Errorf("%s: not PEM", file)
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(*ecdsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("%s: not an ECDSA key", file)
	}
	digest := sha256.Sum256(block.Bytes)
	return &verifierP256{name, binary.BigEndian.Uint32(digest[:4]), key}, nil
}

func judge(prefix string, verifier note.Verifier) (tlog.Tree, error) {
	var tree tlog.Tree
	content, err := get(prefix + "/checkpoint")
	if err != nil {
		return tree, err
	}
	opened, err := note.Open(content, note.VerifierList(verifier))
	if err != nil {
		return tree, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] != verifier.Name() {
		return tree, fmt.Errorf("not a checkpoint of %s", verifier.Name())
	}
	if tree.N, err = strconv.ParseInt(lines[1], 10, 64); err != nil {
		return tree, err
	}
	root, err := base64.StdEncoding.DecodeString(lines[2])
	if err != nil || len(root) != tlog.HashSize {
		return tree, fmt.Errorf("a root that is no hash")
	}
	copy(tree.Hash[:], root)

	// The reader checks every tile against the root of the checkpoint.
	hashes := tlog.TileHashReader(tree, &tiles{prefix})
	for at := int64(0); at < tree.N; at += 256 {
		width := min(tree.N-at, 256)
		entries, err := bundle(prefix, at/256, int(width))
		if err != nil {
			return tree, err
		}
		for i, entry := range entries {
			index := at + int64(i)
			proof, err := tlog.ProveRecord(tree.N, index, hashes)
			if err != nil {
				return tree, err
			}
			leaf := tlog.RecordHash(entry)
			if err := tlog.CheckRecord(proof, tree.N, tree.Hash, index, leaf); err != nil {
				return tree, fmt.Errorf("entry %d: %w", index, err)
			}
		}
	}
	for old := int64(1); old <= tree.N; old = old*2 + 1 {
		hash, err := tlog.TreeHash(old, hashes)
		if err != nil {
			return tree, err
		}
		proof, err := tlog.ProveTree(tree.N, old, hashes)
		if err != nil {
			return tree, err
		}
		if err := tlog.CheckTree(proof, tree.N, tree.Hash, old, hash); err != nil {
			return tree, fmt.Errorf("from %d: %w", old, err)
		}
	}
	return tree, nil
}

// tiles is a tlog.TileReader over HTTP.
type tiles struct{ prefix string }

func (t *tiles) Height() int                                { return tileHeight }
func (t *tiles) SaveTiles(tiles []tlog.Tile, data [][]byte) {}
func (t *tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	found := make([][]byte, len(wanted))
	for i, tile := range wanted {
		// Go writes tile/8/L/N, where C2SP has no height: tile/L/N.
		path := "tile/" + strings.TrimPrefix(tile.Path(), fmt.Sprintf("tile/%d/", tileHeight))
		content, err := get(t.prefix + "/" + path)
		if err != nil {
			return nil, err
		}
		found[i] = content
	}
	return found, nil
}

func bundle(prefix string, index int64, width int) ([][]byte, error) {
	// The names of entry bundles are those of tiles of level 0.
	name := tlog.Tile{H: tileHeight, L: 0, N: index, W: width}.Path()
	name = "tile/entries/" + strings.TrimPrefix(name, fmt.Sprintf("tile/%d/0/", tileHeight))
	content, err := get(prefix + "/" + name)
	if err != nil {
		return nil, err
	}
	var entries [][]byte
	for len(content) > 0 {
		if len(content) < 2 {
			return nil, fmt.Errorf("%s: cut off", name)
		}
		size := int(binary.BigEndian.Uint16(content))
		if len(content) < 2+size {
			return nil, fmt.Errorf("%s: cut off", name)
		}
		entries = append(entries, content[2:2+size])
		content = content[2+size:]
	}
	if len(entries) != width {
		return nil, fmt.Errorf("%s: %d entries, not %d", name, len(entries), width)
	}
	return entries, nil
}

func get(url string) ([]byte, error) {
	answer, err := http.Get(url)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: status %d", url, answer.StatusCode)
	}
	return content, nil
}

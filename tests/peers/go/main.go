// Go's net/http over HTTP/2, with nothing but the standard library: a job as JSON on standard input, the result of each
// push as JSON on standard output. It signs its provider token itself.
package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"sync"
	"time"
)

type job struct {
	Host, Ca, Key, KeyID, TeamID, Topic, Token string
	Port                                       int
	Texts                                      []string
}

type result struct {
	Status    int    `json:"status"`
	Reason    string `json:"reason,omitempty"`
	Timestamp int64  `json:"timestamp,omitempty"`
	Protocol  string `json:"protocol"`
	ID        string `json:"id"`
}

func must[T any](value T, err error) T {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return value
}

func part(value any) string {
	return base64.RawURLEncoding.EncodeToString(must(json.Marshal(value)))
}

// bearer makes a provider token: ES256 is SHA-256, and both numbers of the signature in 32 bytes each.
func bearer(work job) string {
	block, _ := pem.Decode([]byte(work.Key))
	key := must(x509.ParsePKCS8PrivateKey(block.Bytes)).(*ecdsa.PrivateKey)
	message := part(map[string]any{"alg": "ES256", "kid": work.KeyID}) + "." +
		part(map[string]any{"iss": work.TeamID, "iat": time.Now().Unix()})
	digest := sha256.Sum256([]byte(message))
	r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
	must(0, err)
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return "bearer " + message + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func push(client *http.Client, work job, authorization, text string) result {
	body := must(json.Marshal(map[string]any{"aps": map[string]any{"alert": text}}))
	url := fmt.Sprintf("https://%s:%d/3/device/%s", work.Host, work.Port, work.Token)
	request := must(http.NewRequest("POST", url, bytes.NewReader(body)))
	request.Header.Set("authorization", authorization)
	request.Header.Set("apns-topic", work.Topic)
	request.Header.Set("apns-push-type", "alert")
	answer := must(client.Do(request))
	defer answer.Body.Close()
	told := result{Status: answer.StatusCode, Protocol: answer.Proto, ID: answer.Header.Get("apns-id")}
	if answer.StatusCode != http.StatusOK {
		must(0, json.NewDecoder(answer.Body).Decode(&told))
	}
	return told
}

func main() {
	var work job
	must(0, json.NewDecoder(os.Stdin).Decode(&work))
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(work.Ca))
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true,
	}}
	authorization := bearer(work)
	results := make([]result, len(work.Texts))
	results[0] = push(client, work, authorization, work.Texts[0]) // alone, so that the others share its connection
	var group sync.WaitGroup
	for at := 1; at < len(work.Texts); at++ {
		group.Add(1)
		go func(at int) {
			defer group.Done()
			results[at] = push(client, work, authorization, work.Texts[at])
		}(at)
	}
	group.Wait()
	must(0, json.NewEncoder(os.Stdout).Encode(results))
}

import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A certificate and its key, as files. */
export interface CertificateFiles {
  readonly cert: string;
  readonly key: string;
}

/** An authority of a test's own, in a folder that goes with it. */
export interface TestAuthority {
  /** Its certificate, as a file. */
  readonly ca: string;
  /** One by it for `names`, 127.0.0.1 and localhost if absent, for servers and clients; it ends after `days`. */
  issue(name: string, days?: number, names?: string): CertificateFiles;
  remove(): void;
}

/** Makes an authority. Needs `openssl`. The files can be read by all, since servers run as somebody else. */
export function testAuthority(name: string): TestAuthority {
  const folder = mkdtempSync(join(tmpdir(), 'evenkeel-certificates-'));
  chmodSync(folder, 0o755);
  const file = (of: string): string => join(folder, of);
  const openssl = (...args: readonly string[]): void => void execFileSync('openssl', args, { stdio: 'pipe' });
  const newKey = (of: string): string => {
    openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', file(`${of}.sec1`));
    openssl('pkcs8', '-topk8', '-nocrypt', '-in', file(`${of}.sec1`), '-out', file(`${of}.key`));
    chmodSync(file(`${of}.key`), 0o644);
    return file(`${of}.key`);
  };
  const caKey = newKey('authority');
  const ca = file('authority.pem');
  openssl('req', '-x509', '-new', '-key', caKey, '-subj', `/CN=${name}`, '-days', '2', '-out', ca);
  return {
    ca,
    issue(of, days = 2, names = 'IP:127.0.0.1, DNS:localhost') {
      const [key, cert, request, extensions] = [newKey(of), file(`${of}.pem`), file(`${of}.csr`), file(`${of}.ext`)];
      writeFileSync(extensions, `subjectAltName = ${names}\n`);
      openssl('req', '-new', '-key', key, '-subj', `/CN=${of}`, '-out', request);
      const by = ['-CA', ca, '-CAkey', caKey, '-CAcreateserial', '-extfile', extensions];
      openssl('x509', '-req', '-in', request, ...by, '-days', String(days), '-out', cert);
      return { cert, key };
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/**
 * Certificates for servers of tests, made for nothing else: an authority, one for `hooks.test` by it until 2120, and one
 * that ended in 2020. All are valid from 2020 on, so that a test does not depend on the day.
 */

export const authority = `-----BEGIN CERTIFICATE-----
MIIBZTCCAQugAwIBAgIBATAKBggqhkjOPQQDAjAZMRcwFQYDVQQDDA5FdmVua2Vl
bCB0ZXN0czAgFw0yMDAxMDEwMDAwMDBaGA8yMTIwMDEwMTAwMDAwMFowGTEXMBUG
A1UEAwwORXZlbmtlZWwgdGVzdHMwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQ9
3IkbmY5znr5MCWHE6n16Bf7GcOccSBe3vNXIojkGpM7GiFtKFNqCBnTmlCFcBnCD
pLAvg//nOIe/UAW3O6Ryo0IwQDAPBgNVHRMBAf8EBTADAQH/MA4GA1UdDwEB/wQE
AwICBDAdBgNVHQ4EFgQUv29Yu5OhNnlmPkawHNwpJbxJD3QwCgYIKoZIzj0EAwID
SAAwRQIgFwf5vPFcTRWUqAR7bEqZbo554zoZVjcyPdr7s9NaCLwCIQCdKIkekg5z
DEZr2tY1vjVvObmMIPnkPiqF6AtRE629xg==
-----END CERTIFICATE-----
`;

export const hooksTestKey = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg2BDH0Jd6GDpsKrpo
TKgnfH9kmVfNBn9PVbq7TjzEwbKhRANCAARCHiI7TmG5S/ZBp1tgy85z0DxEaCIq
jNhYSjwj0XM6c2Cl0t8IAfQNiE/6saaHWfgPrmhkons4EBmDjN50hmiI
-----END PRIVATE KEY-----
`;

export const hooksTest = `-----BEGIN CERTIFICATE-----
MIIBeDCCAR6gAwIBAgIBAjAKBggqhkjOPQQDAjAZMRcwFQYDVQQDDA5FdmVua2Vl
bCB0ZXN0czAgFw0yMDAxMDEwMDAwMDBaGA8yMTIwMDEwMTAwMDAwMFowFTETMBEG
A1UEAwwKaG9va3MudGVzdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABEIeIjtO
YblL9kGnW2DLznPQPERoIiqM2FhKPCPRczpzYKXS3wgB9A2IT/qxpodZ+A+uaGSi
ezgQGYOM3nSGaIijWTBXMBUGA1UdEQQOMAyCCmhvb2tzLnRlc3QwHQYDVR0OBBYE
FN2GJGDUmlnNYEb9oQY3cNG/T5NcMB8GA1UdIwQYMBaAFL9vWLuToTZ5Zj5GsBzc
KSW8SQ90MAoGCCqGSM49BAMCA0gAMEUCIQDmU63AYzu2DZJRL+7qnhFCqThxzWNQ
iwHau45rpSmIvAIgD8rKLVM1KYdvOkedFUQkjl6Gyr+e7mn585kgN38SC0o=
-----END CERTIFICATE-----
`;

export const expiredHooksTest = `-----BEGIN CERTIFICATE-----
MIIBdjCCARygAwIBAgIBAzAKBggqhkjOPQQDAjAZMRcwFQYDVQQDDA5FdmVua2Vl
bCB0ZXN0czAeFw0yMDAxMDEwMDAwMDBaFw0yMDAxMDIwMDAwMDBaMBUxEzARBgNV
BAMMCmhvb2tzLnRlc3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAARCHiI7TmG5
S/ZBp1tgy85z0DxEaCIqjNhYSjwj0XM6c2Cl0t8IAfQNiE/6saaHWfgPrmhkons4
EBmDjN50hmiIo1kwVzAVBgNVHREEDjAMggpob29rcy50ZXN0MB0GA1UdDgQWBBTd
hiRg1JpZzWBG/aEGN3DRv0+TXDAfBgNVHSMEGDAWgBS/b1i7k6E2eWY+RrAc3Ckl
vEkPdDAKBggqhkjOPQQDAgNIADBFAiEAn+F1+IW1WeGlnY7ZNFC+5DnVbbwDlmSh
EiTruZ2q3vECIGYwVUD70+WYLoQczYr8ED8JzoLUWSirchNyKwbkAm6O
-----END CERTIFICATE-----
`;

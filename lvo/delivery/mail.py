"""A notice by e-mail."""

import hashlib
import smtplib
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime

from lvo.delivery.deliver import Job
from lvo.delivery.message import identity_of, subject, text_lines
from lvo.delivery.records import Notice
from lvo.delivery.settings import EmailNotification
from lvo.delivery.tls import client_context
from lvo.delivery.web import read_secret
from lvo.errors import DeliveryError, RefusedError

__all__ = ["send_email"]


def send_email(target: EmailNotification, job: Job) -> str:
    """Send a notice to all addresses. Its Message-ID is the same on every attempt.

    Returns:
        Which addresses the server refused while it took others.

    Raises:
        DeliveryError: the server cannot be reached or may take it later.
        RefusedError: it refuses the sender, every address or the message for good.
    """
    notice = job.delivery.notice
    if notice is None:
        return ""
    message = _message(notice, target, job)
    where = f"mail server {target.host}:{target.port}"
    try:
        with _connect(target) as server:
            if target.user:
                server.login(target.user, read_secret(target.password_file))
            refused = server.send_message(message)
    except smtplib.SMTPAuthenticationError as error:
        msg = f"{where} does not accept user and password ({error.smtp_code})"
        raise DeliveryError(msg) from error
    except smtplib.SMTPRecipientsRefused as error:
        codes = {code for code, _ in error.recipients.values()}
        msg = f"{where} refuses every address ({', '.join(map(str, sorted(codes)))})"
        raise (RefusedError(msg) if min(codes) >= 500 else DeliveryError(msg)) from error
    except (smtplib.SMTPConnectError, smtplib.SMTPHeloError) as error:  # it speaks of itself, not of the message
        msg = f"{where} takes no mail now ({error.smtp_code})"
        raise DeliveryError(msg) from error
    except smtplib.SMTPResponseException as error:
        msg = f"{where} answers {error.smtp_code}"
        raise (RefusedError(msg) if error.smtp_code >= 500 else DeliveryError(msg)) from error
    except smtplib.SMTPNotSupportedError as error:
        msg = f"{where} does not offer what security = {target.security!r} or a login needs"
        raise DeliveryError(msg) from error
    except (smtplib.SMTPException, OSError) as error:
        if isinstance(error, DeliveryError):
            raise
        msg = f"{where} cannot be reached, or breaks off ({type(error).__name__})"
        raise DeliveryError(msg) from error
    return f"refused: {', '.join(sorted(refused))}" if refused else ""


def _connect(target: EmailNotification) -> smtplib.SMTP:
    """A session, encrypted before anything is said where that is configured."""
    if target.security == "tls":
        return smtplib.SMTP_SSL(target.host, target.port, timeout=target.timeout_s, context=client_context(target.tls))
    server = smtplib.SMTP(target.host, target.port, timeout=target.timeout_s)
    if target.security == "starttls":
        try:
            server.starttls(context=client_context(target.tls))
        except BaseException:
            server.close()
            raise
    return server


def _message(notice: Notice, target: EmailNotification, job: Job) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = target.sender, ", ".join(target.to), subject(notice, job.site)
    message["Date"] = format_datetime(datetime.now(UTC))
    number = hashlib.sha256(f"{job.delivery.target}:{job.delivery.key}".encode()).hexdigest()[:32]
    message["Message-ID"] = f"<{number}@{target.sender.rsplit('@', 1)[1]}>"
    if notice.event != "not_detected":
        message["X-Priority"], message["Importance"] = "1", "high"
    lines = [*text_lines(notice, link=job.link(notice))]
    identity = identity_of(notice.source, wanted=target.identity)
    if identity is not None:
        lines.append(
            f"Patient {identity.name}, number {identity.patient_id}, born {identity.birth_date}; order {identity.accession}"
        )
    message.set_content("\n".join(lines) + "\n")
    return message

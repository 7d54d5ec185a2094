"""EncryptedField: a text column whose plain text exists only while somebody is reading it.

The column, the instance, pickles, fixtures and `.values()` hold the sealed text; reading the
attribute opens it. A sealed text is bound to its model, field, row and merchant, so that moving it
to another row makes it unreadable rather than somebody else's. Nothing is cached: opening costs a
few microseconds.

Renaming a model or one of its encrypted fields, or giving a row to another merchant with SQL,
breaks the bond: such a migration has to seal the rows anew.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NoReturn, Self
from uuid import UUID

from django import forms
from django.core import checks
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.query_utils import DeferredAttribute
from django.utils.translation import gettext_lazy as _

from milango import sealing

if TYPE_CHECKING:
    _TextField = models.TextField[Any, Any]
else:
    _TextField = models.TextField

_SEALED_ALREADY: Final = f'A secret cannot begin with "{sealing.MARK}": that marks sealed texts.'


class Sealed:
    """A sealed text as a row holds it. It shows nothing; reading the attribute opens it."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return "<sealed>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sealed) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)


class _Bound(Sealed):
    """A sealed text on its way into the row that it belongs to. Only this reaches the database."""

    __slots__ = ()


class _Plain:
    """A plain text that waits for the first save; pickles hold it sealed."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return "<not sealed yet>"

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> tuple[Callable[[str], _Plain], tuple[str]]:
        return _thaw, (sealing.seal(self.text, _WAITING),)


_WAITING: Final = "milango.not-saved-yet"


def _thaw(sealed: str) -> _Plain:
    return _Plain(sealing.unseal(sealed, _WAITING))


class EncryptedAttribute(DeferredAttribute):
    """Opens on reading, waits for `save()` on writing. None and "" hide nothing and stay as is."""

    field: EncryptedField

    def __get__(self, instance: models.Model | None, cls: Any = None) -> Any:
        if instance is None:
            return self
        held = self.held(instance)
        if isinstance(held, _Plain):
            return held.text
        if isinstance(held, Sealed) and not isinstance(held, _Bound):
            return sealing.unseal(held.text, self.field.bond_of(instance))
        return held

    def __set__(self, instance: models.Model, value: object) -> None:
        instance.__dict__[self.field.attname] = self._to_hold(value)

    def held(self, instance: models.Model) -> Any:
        """What the instance holds, without opening it; fetched first if it was deferred."""
        name = self.field.attname
        if name not in instance.__dict__:
            rows = type(instance)._base_manager.db_manager(
                instance._state.db, hints={"instance": instance}
            )
            instance.__dict__[name] = rows.values_list(name, flat=True).get(pk=instance.pk)
        return instance.__dict__[name]

    def _to_hold(self, value: object) -> object:
        if value is None or value == "" or isinstance(value, Sealed | _Plain):
            return value
        if not isinstance(value, str):
            raise TypeError(f"{self.field.label} takes text or None, not {type(value).__name__}")
        if value.startswith(sealing.MARK):
            raise ValueError(_SEALED_ALREADY)
        return _Plain(str(value))


class SecretFormField(forms.CharField):
    """A secret to type in. It is never shown again, and left blank it stays as it was."""

    def get_bound_field(self, form: forms.BaseForm, field_name: str) -> forms.BoundField:
        if form.get_initial_for_field(self, field_name):
            self.required = self.widget.is_required = False
            self.widget.attrs.setdefault("placeholder", _("Leave blank to keep it"))
        return super().get_bound_field(form, field_name)

    def has_changed(self, initial: object, data: object) -> bool:
        return bool(data)

    def validate(self, value: Any) -> None:
        super().validate(value)
        if value and value.startswith(sealing.MARK):
            raise ValidationError(_SEALED_ALREADY, code="sealed")


class EncryptedField(_TextField):
    """A secret of a row. The model needs a primary key that exists before the first save (a UUID
    default); a `merchant_id`, where there is one, is bound too.

    Reading raises SecretUnreadable when the key is missing or the text is another row's. Filters,
    `.update()` and `bulk_update()` with a plain text raise TypeError: save the instance instead.
    """

    description = _("Secret, encrypted at rest")
    descriptor_class = EncryptedAttribute

    @property
    def label(self) -> str:
        """`app.Model.field`, as it stands in the bond and in messages."""
        return f"{self.model._meta.label}.{self.name}"

    def bond(self, pk: object, merchant: object) -> str:
        """What a sealed text of that row is bound to (the key's id is added when sealing)."""
        return f"{self.label}:{_canonical(pk)}:{_canonical(merchant)}"

    def bond_of(self, instance: models.Model) -> str:
        """The bond of an instance. Raises ValueError while it has no primary key."""
        if instance.pk is None:
            raise ValueError(
                f"{self.label} is bound to its row, so the row needs its id before it is saved: "
                f"give the model a UUID primary key with a default."
            )
        return self.bond(instance.pk, getattr(instance, "merchant_id", None))

    # -- to and from the database

    def from_db_value(self, value: str | None, expression: object, connection: object) -> Any:
        return Sealed(value) if value else value

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        held = self._held(model_instance)
        if isinstance(held, _Plain):
            held = Sealed(sealing.seal(held.text, self.bond_of(model_instance)))
        elif isinstance(held, Sealed):
            held = Sealed(self._renewed(held.text, model_instance, add))
        model_instance.__dict__[self.attname] = held
        return _Bound(held.text) if isinstance(held, Sealed) else held

    def _renewed(self, sealed: str, instance: models.Model, add: bool) -> str:
        kid = sealing.key_id(sealed)
        if not add and not sealing.has_key(kid):
            return sealed  # a lost key must not stop the row's other columns from being saved
        bond = self.bond_of(instance)
        plain = sealing.unseal(sealed, bond)  # raises for a copied row, and for a new merchant
        # An instance loaded before a rotation must not write the old key's text back.
        return sealed if kid == sealing.current_key_id() else sealing.seal(plain, bond)

    def get_prep_value(self, value: Any) -> Any:
        if value is None or value == "":
            return value
        if isinstance(value, _Bound):
            return value.text
        self._refuse()

    def get_placeholder(self, value: Any, compiler: object, connection: object) -> str:
        if hasattr(value, "as_sql"):  # Value("plain"), F("other"), bulk_update's CASE
            self._refuse()
        return "%s"

    def _refuse(self) -> NoReturn:
        raise TypeError(
            f"{self.label} is sealed for one row: set it on the instance and save() that, "
            f".update() and bulk_update() cannot. (For a row known by its key: sealed_for().)"
        )

    def get_lookup(self, lookup_name: str) -> Any:
        if lookup_name == "isnull":
            return super().get_lookup(lookup_name)
        raise TypeError(
            f"{self.label} is encrypted and cannot be searched with {lookup_name!r}; "
            f"only {self.name}__isnull works."
        )

    def get_transform(self, lookup_name: str) -> Any:
        return self.get_lookup(lookup_name)

    # -- fixtures: dumpdata writes the sealed text, loaddata reads it back as it is

    def value_from_object(self, obj: models.Model) -> Any:
        held = self._held(obj)
        return Sealed(self.value_to_string(obj)) if isinstance(held, _Plain) else held

    def value_to_string(self, obj: models.Model) -> str:
        held = self._held(obj)
        if isinstance(held, _Plain):
            return sealing.seal(held.text, self.bond_of(obj))
        return held.text if isinstance(held, Sealed) else held or ""

    def to_python(self, value: Any) -> Any:
        sealed = isinstance(value, str) and value.startswith(sealing.MARK)
        return _Bound(value) if sealed else value

    # -- forms and checks

    def formfield(self, **kwargs: Any) -> Any:
        widget = kwargs.pop("widget", None)  # the admin proposes a textarea, which would show it
        if not _hides(widget):
            widget = forms.PasswordInput(attrs={"autocomplete": "new-password"})
        given = {"form_class": SecretFormField, "strip": True, "widget": widget, **kwargs}
        return super(models.TextField, self).formfield(**given)

    def save_form_data(self, instance: models.Model, data: Any) -> None:
        if data:
            super().save_form_data(instance, data)

    def check(self, **kwargs: Any) -> list[checks.CheckMessage]:
        found = list(super().check(**kwargs))
        if self.unique or getattr(self, "db_index", False) or self.has_db_default():
            hint = "Sealed texts differ each time; store an HMAC in a column of its own to look up."
            message = "An EncryptedField cannot be unique, indexed or have a db_default."
            found.append(checks.Error(message, hint=hint, obj=self, id="milango.secrets.E001"))
        if isinstance(self.model._meta.pk, models.AutoField):
            hint = "Use a UUIDField with a default."
            message = "An EncryptedField needs a primary key that is known before saving."
            found.append(checks.Error(message, hint=hint, obj=self, id="milango.secrets.E002"))
        return found

    def _held(self, instance: models.Model) -> Any:
        attribute: EncryptedAttribute = getattr(type(instance), self.attname)
        return attribute.held(instance)


def encrypted_fields(model: type[models.Model]) -> list[EncryptedField]:
    """The encrypted fields that a model's own table holds."""
    return [f for f in model._meta.local_concrete_fields if isinstance(f, EncryptedField)]


def sealed_for(
    model: type[models.Model], name: str, plain: str, *, pk: object, merchant: object = None
) -> Sealed:
    """A secret sealed for one row that is not loaded: what a conditional `.update()` may set."""
    field = model._meta.get_field(name)
    if not isinstance(field, EncryptedField):
        raise TypeError(f"{model._meta.label}.{name} is not an EncryptedField")
    return _Bound(sealing.seal(plain, field.bond(pk, merchant)))


def reseal(field: EncryptedField, sealed: str, pk: object, merchant: object) -> str:
    """The same secret under the current key; SecretUnreadable if it cannot be opened."""
    bond = field.bond(pk, merchant)
    return sealing.seal(sealing.unseal(sealed, bond), bond)


def _canonical(value: object) -> str:
    """One spelling for an id, however the database, a fixture or Python writes it."""
    if isinstance(value, str):
        try:
            return str(UUID(value))
        except ValueError:
            return value
    return "" if value is None else str(value)


def _hides(widget: Any) -> bool:
    if isinstance(widget, type):
        return issubclass(widget, forms.PasswordInput)
    return isinstance(widget, forms.PasswordInput) and not widget.render_value
